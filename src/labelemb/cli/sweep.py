"""labelemb sweep: a grid of config keys, judged by data that is held out for choosing."""

import itertools
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelemb.cli.arguments import Parser
from labelemb.cli.plan import RECIPES, Variant, Verb, data_of, main_console, make_plan, run_plan, seeds_of
from labelemb.errors import ConfigError
from labelemb.methods import KEYS


def _add_grid(parser: Parser) -> None:
    parser.add_argument("grid", type=str, nargs="+", help="KEY=VALUE,VALUE,...: config keys and what each should be")
    parser.add_argument("--figure", type=str, default=None, help="figure of the validation data to judge by")
    parser.add_argument("--report", type=str, default="report", help="folder for table and picture")


SWEEP = Verb(
    "labelemb sweep",
    "Train {preset} with every combination of some values, and show which does best on validation data: {summary}",
    """\
a session:
  $ labelemb sweep digits tau=0.5,1,2,4 beta=0.25,0.5,0.75 --seeds 3 --epochs 15 --jobs 2
  ...
  tau  beta  validation error %
  ─────────────────────────────
  1    0.25  0.37 ± 0.32 (3)
  2    0.25  0.37 ± 0.32 (3)
  ...
  The picture: report/sweep.png

  Test data are left alone: they choose nothing. One method at a time (--method); several are for labelemb compare.
""",
    methods="one",
    options=_add_grid,
)


def sweep(arguments: list[str]) -> int:
    """labelemb sweep PRESET KEY=VALUES..."""
    preset, chosen = SWEEP.parse(arguments)
    recipe, grid = RECIPES[preset.task], _grid(chosen.grid, RECIPES[preset.task].config)
    if "," in chosen.method:
        raise ConfigError("method", "one method", repr(chosen.method), "Several: labelemb compare")
    extra = [f"--{key}=true" for key in ["validate"] if getattr(chosen, key, True) is None]  # something has to choose
    if getattr(chosen, "validate", True) is False:
        raise ConfigError("validate", "true: a sweep chooses by held-out data", False)
    if idle := [key for key in grid if key in KEYS and chosen.method not in KEYS[key]]:
        raise ConfigError("grid", f"keys that method {chosen.method} has a use for", ", ".join(idle))
    variants, cells = [], {}
    for values in itertools.product(*grid.values()):
        given = [f"--{key}={value}" for key, value in zip(grid, values, strict=True)]
        _, cell = SWEEP.parse([*arguments, *given, *extra])
        keys = {key: getattr(cell, key) for key in grid}
        name = re.sub(r"[^\w.=,+-]+", "-", ",".join(f"{key}={_shown(value)}" for key, value in keys.items()))
        variants.append(Variant(name, {"method": cell.method, **keys}))
        cells[name] = tuple(_shown(value) for value in keys.values())
    if len(cells) < len(variants):
        raise ConfigError("grid", "values that differ", repr(" ".join(chosen.grid)))
    folder = Path(chosen.out) / f"{preset.name}-sweep-{chosen.method}"
    figure = chosen.figure or recipe.config().fit_settings.best[0].figure
    from labelemb.report.measures import MEASURES_OF  # with it comes matplotlib, which takes a second

    known = [f"valid_{measure.key}" for measure in MEASURES_OF[preset.task]]
    if figure not in known:
        raise ConfigError("figure", f"one of the validation data ({', '.join(known)})", repr(figure))
    base = cell  # differs from the other cells in the keys of the grid alone, which each variant sets
    plan = make_plan(preset, variants, seeds_of(chosen, preset), folder, data_of(chosen), base, figures=(figure,))
    console = main_console()
    code = run_plan(plan, chosen.jobs, chosen.threads, console)
    if console.quiet:
        return code
    from labelemb.report.sweep import report_sweep

    places = {values: folder / name for name, values in cells.items()}
    text, picture = report_sweep(list(grid), places, figure, Path(chosen.report))
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(f"The picture: {picture}", highlight=False, markup=False, soft_wrap=True)
    return code


def _grid(words: list[str], config: type) -> dict[str, list[str]]:
    """Read KEY=VALUE,VALUE words. Raises ConfigError."""
    known = {field.name for field in fields(config)} - {"method", "seed", "validate"}
    grid: dict[str, list[str]] = {}
    for word in words:
        key, is_there, values = word.partition("=")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if not is_there or not found or key in grid:
            raise ConfigError("grid", "KEY=VALUE,VALUE,..., each key once", repr(word))
        if key not in known:
            raise ConfigError("grid", f"config keys ({', '.join(sorted(known))})", repr(key))
        grid[key] = found
    return grid


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
