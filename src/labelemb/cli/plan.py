"""What the verbs that train share: a preset with its options, and the runs that they ask for."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from labelemb.cli.arguments import Parser, UsageError, add_config, spelled
from labelemb.errors import ConfigError, check_at_least_one, nearest
from labelemb.methods import METHODS
from labelemb.presets import Preset, preset_names, read_preset
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq import recipe as seq2seq
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.vision import recipe as vision
from labelemb.tasks.vision.config import VisionConfig
from labelemb.training.config import TrainingConfig
from labelemb.training.device import leave_processes
from labelemb.training.multirun import FIGURES, PlannedRun, closing_line, run_all


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


@dataclass(frozen=True)
class Verb:
    """How a verb that trains reads its command line.

    program  as it is called
    what     its help in a sentence; {preset} and {summary} stand for those of the preset
    session  a real session for --help
    preset   the preset of a published script; None: the first argument says which
    out      where run folders go unless it is said
    aliases  config key or option -> another name for it
    methods    what --method takes: "several" with commas between, "one", or "none" where it is no option
    method     what --method is when it is not given; "": as the preset says
    options  adds the verb's own options
    """

    program: str
    what: str
    session: str = ""
    preset: str | None = None
    out: str = "runs"
    aliases: Mapping[str, str] = field(default_factory=dict)
    methods: Literal["several", "one", "none"] = "several"
    method: str = ""
    options: Callable[[Parser], None] = lambda parser: None

    def parse(self, arguments: list[str]) -> tuple[Preset, Any]:
        """Read the preset and, with its options, the arguments. Raises ConfigError, UsageError."""
        name = self.preset or _preset_among(arguments)
        if not self.preset and name not in arguments:  # help, and no preset to help with
            note = f"  Options and defaults are those of {name}; {self.program} PRESET --help shows another's.\n"
            return replace(self, session=f"{self.session}\n{note}").parse([name, *arguments])
        while True:
            preset = read_preset(name)
            if preset.task not in RECIPES:
                raise ConfigError("task", " or ".join(RECIPES), repr(preset.task))
            chosen = self._parser(preset).parse(arguments)
            # The file's values are held to the types of the options; as defaults they would not be.
            given = [f"--{key}={spelled(value)}" for key, value in preset.values.items() if key != "method"]
            values_alone = replace(self, preset=preset.name, options=lambda parser: None)
            values_alone._parser(replace(preset, values={})).parse(given)
            if self.preset or chosen.preset == name:
                return preset, chosen
            name = chosen.preset  # the first guess was the value of an option, --dataset digits say

    def _parser(self, preset: Preset) -> Parser:
        usage = f"{self.program}{'' if self.preset else ' PRESET'} [options]"
        what = self.what.format(preset=preset.name, summary=preset.summary)
        parser = Parser(self.program, what, self.session, usage=usage)
        if not self.preset:
            parser.add_argument("preset", type=str, help=f"one of {', '.join(preset_names())}, or a YAML file")
        self.options(parser)
        if self.methods != "none":
            default = self.method or preset.values.get("method", "label_embedding")
            several = "; or several with commas between" if self.methods == "several" else ""
            parser.add_argument("--method", type=str, default=default, help=f"{', '.join(METHODS)}{several}")
        parser.add_argument(
            *self._names("seed"),
            type=int,
            default=None,
            help=f"the seed of a single run; {preset.values.get('seed', 0)} unless it is given",
        )
        parser.add_argument("--seeds", type=int, default=None, help="run seeds 0 to N-1")
        parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
        parser.add_argument("--threads", type=int, default=None, help="threads of a run (all cores when --jobs is 1)")
        data_help = "folder with the data, or its parent; else LABELEMB_DATA"
        parser.add_argument(*self._names("data"), type=str, default=None, help=data_help)
        parser.add_argument("--out", type=str, default=self.out, help="where run folders go")
        config = RECIPES[preset.task].config
        add_config(parser, config, preset.values, skip={"method", "seed"}, aliases=dict(self.aliases))
        return parser

    def _names(self, name: str) -> list[str]:
        return [f"--{name}", *([self.aliases[name]] if name in self.aliases else [])]


@dataclass(frozen=True)
class Variant:
    """A way to train that stands beside others: its name, which is that of its folder, and the config keys it sets."""

    name: str
    keys: Mapping[str, Any]


def methods_of(text: str) -> list[Variant]:
    """Return a variant per method of a list with commas. Raises ConfigError for an unknown one."""
    methods = [method.strip() for method in text.split(",")]
    if unknown := [method for method in methods if method not in METHODS]:
        expected = f"{' or '.join(METHODS)}, or several with commas between"
        raise ConfigError("method", expected, repr(unknown[0]), nearest(unknown[0], METHODS))
    return [Variant(method, {"method": method}) for method in dict.fromkeys(methods)]


def seeds_of(chosen: Any, preset: Preset) -> list[int]:
    """Return the seeds that --seed or --seeds asks for, else the preset's. Raises ConfigError, UsageError."""
    for name in ("seeds", "jobs", "threads"):
        if getattr(chosen, name) is not None:
            check_at_least_one(name, getattr(chosen, name))
    if chosen.seeds is not None and chosen.seed is not None:
        raise UsageError("seed: give --seed N for one run or --seeds N for N runs, not both")
    if chosen.seeds is not None:
        return list(range(chosen.seeds))
    return [preset.values.get("seed", 0) if chosen.seed is None else chosen.seed]


def data_of(chosen: Any) -> Path | None:
    """Return the folder with the data: --data, else LABELEMB_DATA, else None."""
    data = chosen.data or os.environ.get("LABELEMB_DATA")
    return Path(data) if data else None


def make_plan(
    preset: Preset,
    variants: Iterable[Variant],
    seeds: Sequence[int],
    folder: Path,
    data: Path | None,
    chosen: Any,
    figures: Sequence[str] = FIGURES,
) -> list[PlannedRun]:
    """Return the runs of a matrix, seed by seed, so that an unfinished one is paired as far as it goes.

    folder   OUT/TASK, in which each variant has a folder
    chosen   anything with an attribute per config key
    figures  what is shown of a run that has ended

    Raises ConfigError for values that cannot be.
    """
    recipe = RECIPES[preset.task]
    names = {field.name for field in fields(recipe.config)} - {"method", "seed"}
    values = {name: getattr(chosen, name) for name in names}
    plan = []
    for seed in seeds:
        for variant in variants:
            run = RunFolder.of(folder.parent, folder.name, variant.name, seed)
            config = recipe.config(**{**values, **variant.keys, "seed": seed}).resolved()
            check, do = partial(recipe.check, config, run, data), partial(recipe.train, config, run, data)
            plan.append(PlannedRun(run, variant.name, check, do, figures))
    return plan


def run_plan(plan: list[PlannedRun], jobs: int, threads: int | None, console: Console) -> int:
    """Do what is left of a plan: in this process when it is one run or a part of a distributed job, else as a matrix.

    Everything is checked before anything starts. Returns 1 when a run failed. Raises LabelembError.
    """
    for planned in plan:
        planned.check()
    left = [planned for planned in plan if not planned.run.finished]
    if len(left) < len(plan):
        console.print(f"{len(plan) - len(left)} of {len(plan)} runs were done before", highlight=False)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and len(left) > 1:
        failures = run_all(plan, min(jobs, len(left)), threads, console)
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
            line = closing_line(planned, time.perf_counter() - start)
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    leave_processes()
    return 0


def main_console() -> Console:
    """Return a console that is silent in all processes of a distributed job but one."""
    return Console(quiet=os.environ.get("RANK", "0") != "0")


def _preset_among(arguments: list[str]) -> str:
    """Find the preset before the options can be known: they depend on it."""
    for argument in arguments:
        if argument in preset_names() or (argument.endswith((".yaml", ".yml")) and not argument.startswith("-")):
            return argument
    if {"-h", "--help"} & set(arguments):
        return "digits"
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    if first is None:
        raise ConfigError("preset", f"one of {', '.join(preset_names())}, or a YAML file", "none")
    return first  # for ``read_preset`` to refuse
