"""labelemb train, and the published scripts, which are the same under other option names."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from labelemb.cli.arguments import Parser, UsageError, add_config
from labelemb.errors import ConfigError
from labelemb.losses.modes import MODES
from labelemb.presets import Preset, preset_names, read_preset
from labelemb.runs import RunFolder
from labelemb.seq2seq import recipe as seq2seq
from labelemb.seq2seq.config import Seq2SeqConfig
from labelemb.training.config import TrainingConfig
from labelemb.training.device import leave_processes
from labelemb.training.matrix import PlannedRun, closing_line, run_matrix
from labelemb.vision import recipe as vision
from labelemb.vision.config import VisionConfig


@dataclass(frozen=True)
class Recipe:
    """What trains the presets of a task: its config dataclass, what checks a run, what does it."""

    config: type[TrainingConfig]
    check: Callable[..., None]
    train: Callable[..., None]


RECIPES = {
    "vision": Recipe(VisionConfig, vision.check, vision.train),
    "seq2seq": Recipe(Seq2SeqConfig, seq2seq.check, seq2seq.train),
}
SESSION = """\
a session:
  $ labelemb train mnist-mlp --mode baseline,emb --seeds 20 --jobs 2 --data ~/mnist
  mnist-mlp/baseline/seed-0  valid_error 1.90 %  test_error 1.78 %  (last epoch; 70 s)
  ...
  Runs are in runs/mnist-mlp. Look at them: labelemb report runs/mnist-mlp

  Stop it at any moment; the same command goes on where it was.
  Several processes or machines: accelerate launch -m labelemb train mnist-cnn
"""


@dataclass(frozen=True)
class Published:
    """How a published script differs: its preset, its output folder and its names for options.

    aliases  config key or option -> the published option string
    """

    preset: str
    out: str
    aliases: dict[str, str] = field(default_factory=dict)


def train(arguments: list[str], published: Published | None = None, program: str = "labelemb train") -> int:
    """Train the runs that the arguments ask for; return the exit code (1 when a run failed)."""
    preset, chosen = _parse(arguments, published, program)
    data = chosen.data or os.environ.get("LABELEMB_DATA")
    plan = make_plan(
        preset, _modes(chosen.mode), _seeds(chosen), Path(chosen.out), Path(data) if data else None, chosen
    )
    console = Console(quiet=os.environ.get("RANK", "0") != "0")  # one of several processes talks
    if published and chosen.resume:
        _expect_something_to_resume(plan)
    code = run_plan(plan, chosen.jobs, chosen.threads, console)
    folder = Path(chosen.out) / preset.name
    console.print(f"Runs are in {folder}. Look at them: labelemb report {folder}", highlight=False, soft_wrap=True)
    return code


def make_plan(
    preset: Preset, modes: list[str], seeds: list[int], out: Path, data: Path | None, overrides: Any
) -> list[PlannedRun]:
    """Return the runs of a matrix, seed by seed, so that an unfinished one is paired as far as it goes.

    overrides: anything with an attribute per config key. Raises ConfigError for values that cannot be.
    """
    recipe = RECIPES[preset.task]
    names = {field.name for field in fields(recipe.config)} - {"mode", "seed"}
    values = {name: getattr(overrides, name) for name in names}
    plan = []
    for seed in seeds:
        for mode in modes:
            run = RunFolder.of(out, preset.name, mode, seed)
            config = recipe.config(**values | {"mode": mode, "seed": seed}).resolved()
            check, do = partial(recipe.check, config, run, data), partial(recipe.train, config, run, data)
            plan.append(PlannedRun(run, mode, check, do))
    return plan


def run_plan(plan: list[PlannedRun], jobs: int, threads: int | None, console: Console) -> int:
    """Do what is left of a plan: in this process when it is one run or a part of a distributed job, else as a matrix.

    Everything is checked before anything starts. Raises LabelembError.
    """
    for planned in plan:
        planned.check()
    left = [planned for planned in plan if not planned.run.finished]
    if len(left) < len(plan):
        console.print(f"{len(plan) - len(left)} of {len(plan)} runs were done before", highlight=False)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and len(left) > 1:
        failures = run_matrix(plan, min(jobs, len(left)), threads, console)
        if failures:
            summary = f"{len(failures)} of {len(plan)} runs failed; the same command tries them again"
            console.print(summary, highlight=False)
        return 1 if failures else 0
    if threads or jobs > 1:
        torch.set_num_threads(threads or 1)
    for planned in left:
        start = time.perf_counter()
        planned.train()
        if not console.quiet:
            console.print(closing_line(planned, time.perf_counter() - start), highlight=False, soft_wrap=True)
    leave_processes()
    return 0


def _parse(arguments: list[str], published: Published | None, program: str) -> tuple[Preset, Any]:
    """Read the preset and, with its options, the arguments."""
    name = published.preset if published else _preset_among(arguments)
    while True:
        preset = read_preset(name)
        if preset.task not in RECIPES:
            raise ConfigError("task", " or ".join(RECIPES), repr(preset.task))
        chosen = _parser(preset, published, program).parse(arguments)
        # The file's values are held to the types of the options; as defaults they would not be.
        given = [f"--{key}={_spelled(value)}" for key, value in preset.values.items()]
        _parser(replace(preset, values={}), published, program).parse([*([] if published else [preset.name]), *given])
        if published or chosen.preset == name:
            return preset, chosen
        name = chosen.preset  # the first guess was the value of an option, --dataset digits say


def _spelled(value: object) -> str:
    """Write a value of a YAML file as one would on the command line."""
    return str(value) if isinstance(value, str) else json.dumps(value)


def _parser(preset: Preset, published: Published | None, program: str) -> Parser:
    aliases = published.aliases if published else {}
    parser = Parser(
        program,
        f"Train {preset.name}: {preset.summary}",
        "" if published else SESSION,
        usage=f"{program}{'' if published else ' PRESET'} [options]",
    )
    if not published:
        parser.add_argument("preset", type=str, help=f"one of {', '.join(preset_names())}, or a YAML file")
    parser.add_argument(
        "--mode",
        type=str,
        default=preset.values.get("mode", "emb"),
        help=f"{', '.join(MODES)}; or several with commas between",
    )
    parser.add_argument(
        *_names("seed", aliases), type=int, default=preset.values.get("seed", 0), help="the seed of a single run"
    )
    parser.add_argument("--seeds", type=int, default=None, help="run seeds 0 to N-1")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--threads", type=int, default=None, help="threads of a run (all cores when --jobs is 1)")
    if published:
        resume_help = "go on with a run that must be there; without it one that is there goes on too"
        parser.add_argument("--resume", "-r", action="store_true", help=resume_help)
    parser.add_argument(
        *_names("data", aliases), type=str, default=None, help="folder with the data, or its parent; else LABELEMB_DATA"
    )
    parser.add_argument("--out", type=str, default=published.out if published else "runs", help="where run folders go")
    add_config(parser, RECIPES[preset.task].config, preset.values, skip={"mode", "seed"}, aliases=aliases)
    return parser


def _expect_something_to_resume(plan: list[PlannedRun]) -> None:
    """Raise ConfigError for a run that has no checkpoint, naming those there are: it would start anew, unasked."""
    for planned in plan:
        if not planned.run.last_checkpoint.is_file():
            others = sorted(planned.run.path.parent.glob(f"*/{planned.run.last_checkpoint.name}"))
            there = ", ".join(str(other.parent) for other in others)
            raise ConfigError(
                "resume",
                f"a run to go on with in {planned.run.path}",
                "none",
                f"There are {there}" if there else "Leave --resume out to start one",
            )


def _names(name: str, aliases: dict[str, str]) -> list[str]:
    return [f"--{name}", *([aliases[name]] if name in aliases else [])]


def _preset_among(arguments: list[str]) -> str:
    """Find the preset before the options can be known: they depend on it."""
    for argument in arguments:
        if argument in preset_names() or (argument.endswith((".yaml", ".yml")) and not argument.startswith("-")):
            return argument
    if {"-h", "--help"} & set(arguments):
        return "digits"
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    raise ConfigError("preset", f"one of {', '.join(preset_names())}, or a YAML file", repr(first) if first else "none")


def _modes(text: str) -> list[str]:
    modes = [mode.strip() for mode in text.split(",")]
    if unknown := [mode for mode in modes if mode not in MODES]:
        raise ConfigError("mode", f"{' or '.join(MODES)}, or several with commas between", repr(unknown[0]))
    return list(dict.fromkeys(modes))


def _seeds(chosen: Any) -> list[int]:
    for name in ("seeds", "jobs", "threads"):
        if getattr(chosen, name) is not None and getattr(chosen, name) < 1:
            raise ConfigError(name, "a whole number >= 1", getattr(chosen, name))
    if chosen.seeds is not None and chosen.seed:
        raise UsageError("seed: give --seed N for one run or --seeds N for N runs, not both")
    return list(range(chosen.seeds)) if chosen.seeds is not None else [chosen.seed]
