"""``labelemb sweep``: train a grid of options and rank it by validation data."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import (
    Request,
    Variant,
    main_console,
    make_plan,
    request_of,
    run_plan,
    say_share,
    variants_of,
)
from labelemb.cli.suggestions import suggest
from labelemb.cli.training_options import TrainingCommand, config_values
from labelemb.errors import ConfigError
from labelemb.methods import methods_using
from labelemb.training.progress import say

MOST_CELLS = 1000
GRID = "KEY=VALUE,VALUE,... of options of the run, each key once"

OTHER_WAYS = {
    "seed": "--seeds N runs each combination with the seeds 0 to N-1",
    "method": "labelemb compare compares methods",
}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("grid", type=str, nargs="*", default=[], help=f"{GRID}, for example tau=1,2 beta=0.25,0.5")
    parser.add_argument(
        "--metric", type=str, help="validation metric to rank by; default: the one that selects best.pt"
    )
    parser.add_argument("--report", type=str, help="folder for table and figure; default: OUT/NAME-sweep-METHOD/report")


SWEEP = TrainingCommand(
    "sweep",
    "Train {preset} with every combination of some values, and rank them by validation data: {summary}",
    """\
example:
  $ labelemb sweep digits tau=1,2 beta=0.25,0.5 --seeds 2 --epochs 10 --jobs 2
  ...
  tau  beta  validation error %
  ─────────────────────────────
  1    0.25  0.56 ± 0.00 (2)
  2    0.25  0.56 ± 0.00 (2)
  1    0.5   2.51 ± 1.19 (2)
  2    0.5   2.51 ± 1.19 (2)
  ...
  Figure: runs/digits-sweep-label_embedding/report/sweep.png

  Test data are not read, so they choose nothing. One method at a time (--method); labelemb compare takes several.
""",
    methods="one",
    add_arguments=_add_arguments,
)


def run(chosen: Any) -> int:
    """Train the grid and report it."""
    request = request_of(chosen, f"-sweep-{chosen.method}")
    method = _only_method(chosen.method, request)
    request = replace(request, values=_validated(request.values))
    cells = _cells(_grid(chosen.grid, request), method, request)
    metric = _metric(chosen.metric, request)
    plan = make_plan(request, cells, metrics=(metric,))
    console = main_console()
    code = run_plan(plan, request.execution, console)
    if request.execution.is_share:
        return say_share(request.execution, code, console)
    if console.quiet:
        return code
    from labelemb.report.sweep import report_sweep

    keys = [key for key in cells[0].keys if key != "method"]
    folders = {tuple(_shown(cell.keys[key]) for key in keys): request.folder / cell.name for cell in cells}
    out = Path(chosen.report) if chosen.report else request.folder / "report"
    text, figure = report_sweep(keys, folders, metric, out)
    say(console, text)
    request.publish_report(out)
    say(console, f"Figure: {figure}")
    return code


def _only_method(text: str, request: Request) -> str:
    variants = variants_of(text, request.recipe.config.methods)
    if len(variants) > 1:
        raise ConfigError("method", "one method", repr(text), "For several: labelemb compare")
    return variants[0].name


def _validated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with a validation set held out to rank by. Raises ConfigError where it is refused."""
    if values.get("validate", True) is False:
        raise ConfigError("validate", "true, since a sweep ranks by held-out data", "false")
    return {**values, **({"validate": True} if "validate" in values else {})}


def _grid(words: Sequence[str], request: Request) -> dict[str, list[str]]:
    """Read KEY=VALUE,VALUE words. Raises ConfigError."""
    known = sorted(request.values.keys() - {"validate"})
    grid: dict[str, list[str]] = {}
    for word in words:
        key, separator, values = word.partition("=")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if not separator or not found or key in grid:
            raise ConfigError("grid", GRID, repr(word))
        if key not in known:
            hint = OTHER_WAYS.get(key) or suggest(key, known)
            raise ConfigError("grid", f"keys out of {', '.join(known)}", repr(key), hint)
        grid[key] = found
    if not grid:
        raise ConfigError("grid", GRID, "none", "For example: tau=1,2 beta=0.25,0.5")
    return grid


def _cells(grid: Mapping[str, Sequence[str]], method: str, request: Request) -> list[Variant]:
    """Return a variant per combination. Raises ConfigError for values of a wrong type, unused keys, equal values."""
    if unused := [key for key in grid if methods_using(key) and method not in methods_using(key)]:
        raise ConfigError("grid", f"keys that method {method} uses", ", ".join(unused))
    count = math.prod(len(values) for values in grid.values())
    if count > MOST_CELLS:
        raise ConfigError("grid", f"at most {MOST_CELLS:,} combinations", f"{count:,}")
    cells = []
    for values in itertools.product(*grid.values()):
        keys = config_values(request.recipe.config, dict(zip(grid, values, strict=True)), "grid")
        name = ",".join(f"{key}={_shown(keys[key])}" for key in grid)
        ordered = {key: keys[key] for key in grid}
        cells.append(Variant(re.sub(r"[^\w.=,+-]+", "-", name), {"method": method, **ordered}))
    if len({cell.name for cell in cells}) < len(cells):
        raise ConfigError("grid", "different values", repr(" ".join(f"{k}={','.join(v)}" for k, v in grid.items())))
    return cells


def _metric(name: str | None, request: Request) -> str:
    """Return the validation metric to rank by. Raises ConfigError for any other."""
    from labelemb.report.metric import METRICS_OF  # imports matplotlib, which takes a second

    chosen = name or request.recipe.config().fit_settings.best[0].metric
    known = [f"valid_{metric.key}" for metric in METRICS_OF[request.preset.task]]
    if chosen not in known:
        raise ConfigError("metric", f"one of the validation data ({', '.join(known)})", repr(chosen))
    return chosen


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


COMMAND = Command(SWEEP.parser, run)
