"""From the parsed options of a training command to its runs, and carrying them out."""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from labelemb.cli.execution import Execution, execution_of
from labelemb.cli.exit_codes import BUSY, FAILED
from labelemb.cli.parser import UsageError
from labelemb.cli.suggestions import suggest_method
from labelemb.cli.training_options import Recipe, recipe_of
from labelemb.errors import ConfigError, check_at_least_one
from labelemb.files import check_output_folder, is_url
from labelemb.presets import Preset, read_preset
from labelemb.runs import RunFolder
from labelemb.tasks.text.files import KINDS as TEXT_FILES
from labelemb.tasks.vision import datasets
from labelemb.training.device import leave_processes
from labelemb.training.multirun import METRICS, NotDone, PlannedRun, closing_line, run_all
from labelemb.training.progress import say

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Variant:
    """One way to train among several that are compared: the name of its folder, and the config keys that it sets."""

    name: str
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """The parsed options of a training command.

    Args:
        preset: The preset.
        recipe: How it is trained.
        values: A value per config key, ``method`` and ``seed`` aside.
        seeds: Seeds of each variant.
        folder: OUT/NAME, which holds a folder per variant.
        data: Folder with the data; None: where the data set looks by itself.
        execution: Where and how the runs are trained.
        url: URL that ``folder`` is a copy of; "" without one.
    """

    preset: Preset
    recipe: Recipe
    values: Mapping[str, Any]
    seeds: Sequence[int]
    folder: Path
    data: Path | None
    execution: Execution
    url: str = ""

    @property
    def place(self) -> str:
        """Where the user finds the runs."""
        return self.url or str(self.folder)

    def run_of(self, variant: str, seed: int) -> RunFolder:
        """Return the folder of a run, as complete as it is at the URL. Raises ConfigError."""
        run = RunFolder.of(self.folder.parent, self.folder.name, variant, seed)
        if not self.url:
            return run
        from labelemb.runs.remote import StagedRun

        staged = StagedRun(run.path, f"{self.url}/{variant}/{run.path.name}")
        staged.fetch(checkpoints=False)
        return staged

    def publish_report(self, report: Path) -> str:
        """Copy a report beside or below ``folder`` to the URL, if there is one; return where the user finds it."""
        if not self.url or not report.is_relative_to(self.folder.parent):
            return str(report.resolve())
        from labelemb.runs.remote import upload

        url = f"{self.url.rpartition('/')[0]}/{report.relative_to(self.folder.parent).as_posix()}"
        upload(report, url)
        return url


def request_of(chosen: Any, suffix: str = "") -> Request:
    """Return the request that the parsed options describe. Raises ConfigError, UsageError.

    Args:
        chosen: Parsed options of a training command.
        suffix: End of the folder's name, for commands whose runs are not those of ``labelemb train``.
    """
    preset = read_preset(chosen.preset)
    recipe = recipe_of(preset)
    names = {field.name for field in fields(recipe.config)} - {"method", "seed"}
    values = {name: getattr(chosen, name) for name in sorted(names)}
    if preset.task == "vision":
        check_dataset(values.get("dataset"))
    if chosen.name is not None and not re.fullmatch(r"\w[\w.=,+-]*", chosen.name):
        raise ConfigError("name", "a name of letters, digits and . = , + - _", repr(chosen.name))
    folder, url = _destination(chosen.out, f"{chosen.name or _run_name(preset, values)}{suffix}")
    execution = execution_of(chosen)
    if chosen.get("report") is not None:
        check_output_folder("report", chosen.report)
    return Request(preset, recipe, values, seeds_of(chosen, preset), folder, data_of(chosen), execution, url)


def _destination(out: str, name: str) -> tuple[Path, str]:
    """Return the folder OUT/NAME, and its URL: for a URL the folder is a local copy, else the URL is "".

    Raises:
        ConfigError: The folder or the URL cannot be used.
    """
    if not is_url(out):
        if not out:
            raise ConfigError("out", "a folder or URL", "''")
        return Path(out) / name, ""
    from labelemb.runs.remote import check_url, staging_folder

    check_url(out)
    return staging_folder(out) / name, f"{out.rstrip('/')}/{name}"


def check_dataset(name: str | None) -> None:
    """Suggest ``imagefolder:`` for a path in place of a data set's name. Raises ConfigError."""
    if name and not datasets.is_known(name) and ("/" in name or Path(name).expanduser().is_dir()):
        hint = f"For images in one folder per label: --dataset imagefolder:{name}"
        raise ConfigError("dataset", datasets.NAMES, repr(name), hint)


def _run_name(preset: Preset, values: Mapping[str, Any]) -> str:
    """Return the name of the runs: that of data given by path or id in place of the preset's, else the preset's."""
    for key in ("dataset", "corpus"):
        source = str(values.get(key) or "")
        is_own = ":" in source if key == "dataset" else "/" in source
        if is_own and source != preset.values.get(key):
            kind, _, rest = source.partition(":")
            path = Path(rest if key == "dataset" else source).expanduser()
            name = path.name or path.resolve().name
            if kind in TEXT_FILES:  # banking77/train.csv.gz -> banking77; intents.csv -> intents
                stem = name.partition(".")[0]
                name = path.resolve().parent.name if stem == "train" else stem
            return re.sub(r"[^\w.-]+", "-", name) or preset.name
    return preset.name


def variants_of(text: str, methods: Sequence[str]) -> list[Variant]:
    """Return a variant per method of a list separated by commas. Raises ConfigError for an unknown one.

    Args:
        text: Value of ``--method``.
        methods: Methods that the task supports.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in methods:
            expected = f"one of {', '.join(methods)}, or several separated by commas"
            raise ConfigError("method", expected, repr(name), suggest_method(name, methods))
    return [Variant(name, {"method": name}) for name in names]


def seeds_of(chosen: Any, preset: Preset) -> list[int]:
    """Return the seeds that --seed or --seeds asks for, else the preset's. Raises ConfigError, UsageError."""
    if chosen.seeds is not None:
        check_at_least_one("seeds", chosen.seeds, MOST_SEEDS)
    if chosen.seeds is not None and chosen.seed is not None:
        raise UsageError("seed: give --seed N for one run or --seeds N for the runs 0 to N-1, not both")
    if chosen.seeds is not None:
        return list(range(chosen.seeds))
    return [preset.values.get("seed", 0) if chosen.seed is None else chosen.seed]


def data_of(chosen: Any) -> Path | None:
    """Return the folder with the data: --data, else LABELEMB_DATA, else None."""
    data = chosen.data or os.environ.get("LABELEMB_DATA")
    return Path(data).expanduser() if data else None


def make_plan(request: Request, variants: Iterable[Variant], metrics: Sequence[str] = METRICS) -> list[PlannedRun]:
    """Return the runs of all variants, ordered by seed, so that an unfinished comparison is paired as far as it goes.

    Args:
        request: What was asked for.
        variants: The ways to train.
        metrics: Keys of the history line to show of a finished run.

    Raises:
        ConfigError: For an invalid config.
    """
    recipe = request.recipe
    plan = []
    for seed in request.seeds:
        for variant in variants:
            run = request.run_of(variant.name, seed)
            config = recipe.config(**{**request.values, **variant.keys, "seed": seed}).resolved()
            check, do = (
                partial(recipe.check, config, run, request.data),
                partial(recipe.train, config, run, request.data),
            )
            plan.append(PlannedRun(run, variant.name, check, do, metrics))
    return plan


def run_plan(plan: list[PlannedRun], execution: Execution, console: Console) -> int:
    """Do the unfinished runs of a plan, after checking all of them.

    A single run, and every run under ``accelerate launch``, is done in this process; several, and those of a cluster,
    are done in worker processes.

    Returns:
        0 when all runs of this process's share are finished, 1 when one failed, 3 when another process trains one.

    Raises:
        LabelembError: A run cannot start.
    """
    plan = execution.share_of(plan)
    summaries = [planned.check() for planned in plan]
    left = [planned for planned in plan if not planned.run.finished]
    for planned in left:
        check_output_folder("out", planned.run.path)
    if len(left) < len(plan):
        done = seeds_by_variant(planned.run for planned in plan if planned.run.finished)
        line = f"{len(plan) - len(left)} of {len(plan)} runs were done before: {done}"
        say(console, line)
    if not left:
        return 0
    for line in filter(None, [*_shared_lines(summaries), execution.summary]):
        say(console, line)
    if not execution.in_this_process(len(left)):
        return _summarize(run_all(plan, execution.engine_for(len(left)), console), len(plan), console)
    execution.set_threads()
    for planned in left:
        start = time.perf_counter()
        planned.train()
        if not console.quiet:
            say(console, closing_line(planned, time.perf_counter() - start))
    leave_processes()
    return 0


def _summarize(not_done: NotDone, total: int, console: Console) -> int:
    """Print how many runs were not done; return the exit code."""
    if not_done.failed:
        say(console, f"{len(not_done.failed)} of {total} runs failed; the same command tries them again")
    if not_done.busy:
        say(console, f"{len(not_done.busy)} of {total} runs are being trained by other processes")
    return FAILED if not_done.failed else BUSY if not_done.busy else 0


def say_share(execution: Execution, code: int, console: Console) -> int:
    """Say how to go on after a share of the runs; return the exit code."""
    index, count = execution.shard
    say(console, f"Share {index} of {count} ended; without --shard the command does what is missing and compares")
    return code


def _shared_lines(summaries: Sequence[Sequence[str] | None]) -> list[str]:
    """Return the lines that all summaries of runs share."""
    first = (summaries[0] if summaries else None) or ()
    return [line for line in first if all(line in (other or ()) for other in summaries)]


def seeds_by_variant(runs: Iterable[RunFolder]) -> str:
    """Describe runs, for example ``label_embedding seeds 0, 1; ols seed 0``."""
    seeds: dict[str, list[str]] = {}
    for run in runs:
        seeds.setdefault(run.path.parent.name, []).append(run.path.name.removeprefix("seed-"))
    return "; ".join(f"{name} seed{'s' * (len(found) > 1)} {', '.join(found)}" for name, found in seeds.items())


def main_console() -> Console:
    """Return a console that is silent in all processes of a distributed run but the first."""
    return Console(quiet=os.environ.get("RANK", "0") != "0")
