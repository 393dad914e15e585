"""From run folders to tasks, methods and figures: who ran, how far, and what came out."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from labelemb.errors import DataError
from labelemb.methods import BASELINE, METHODS
from labelemb.metrics.convergence import epochs_until
from labelemb.report.measures import ERROR, TEXT_HEADS, Measure
from labelemb.runs import Line, RunFolder, find_runs
from labelemb.stats.paired import PairedDifference, Summary, paired_difference, summarise

Figure = Literal["last", "chosen"]
FIGURES: dict[Figure, str] = {
    "last": "test error after the last epoch (the published convention)",
    "chosen": "test error at the epoch with the lowest validation error",
}


def finite(line: Line, key: str) -> bool:
    """Say whether a history line has a finite number there: a run that diverges has NaN, a perplexity may overflow."""
    return line.get(key) is not None and math.isfinite(line[key])


def method_name(method: str) -> str:
    """Return what a reader calls a method, or another way to train that has a folder of its own.

    >>> method_name("cross_entropy"), method_name("label_embedding-without-cap"), method_name("tau=2")
    ('one-hot', 'label embedding without cap', 'tau=2')
    """
    method, without, term = method.partition("-without-")
    return (METHODS[method].title if method in METHODS else method) + without.replace("-", " ") + term


@dataclass(frozen=True)
class Run:
    """One run as the report sees it. Errors are in percent.

    method  the name of the folder that the seeds are in: the method, or what a variant of one is called
    """

    folder: RunFolder
    task: str
    method: str
    seed: int
    config: dict[str, Any]
    signature: dict[str, Any]
    history: list[Line]
    finished: bool

    @classmethod
    def read(cls, folder: RunFolder) -> "Run":
        """Read a run folder OUT/TASK/MODE/seed-N, or TASK/LOG of the published scripts. Raises DataError."""
        # First: a run that ends while it is read must not count with a history that was read before its end.
        finished = folder.finished
        config, path = folder.config(), folder.path.resolve()
        try:
            seed = int(config.get("seed", 0))
        except (TypeError, ValueError) as error:
            raise DataError(f"{folder.config_file}: seed", "a whole number", repr(config["seed"])) from error
        task, method = path.parent.parent.name, path.parent.name
        if not path.name.startswith("seed-"):
            task, method = path.parent.name, str(config.get("method", path.name))
        return cls(folder, task, method, seed, config, folder.signature(), folder.history(), finished)

    @property
    def epochs_done(self) -> int:
        """Return the epoch of the last evaluation, 0 when there is none."""
        return int(self.history[-1]["epoch"]) if self.history else 0

    def figure(self, name: Figure) -> float | None:
        """Return a test error in percent, or None when the run does not have it. The best test epoch is never one.

        "last": after the last epoch; "chosen": at the first epoch with the lowest valid_error.
        """
        lines = [line for line in self.history if name == "last" or line.get("valid_error") is not None]
        if not lines:
            return None
        line = lines[-1] if name == "last" else min(lines, key=lambda line: float(line["valid_error"]))
        return None if line.get("test_error") is None else float(line["test_error"])

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Return (epoch, value) of every evaluation where the key is finite; between epochs the epoch is a fraction."""
        if not self.history:
            return []
        last = self.history[-1]
        per_epoch = last.get("step", last["epoch"]) / last["epoch"]
        return [
            (line.get("step", line["epoch"]) / per_epoch, float(line[key]))
            for line in self.history
            if finite(line, key)
        ]

    def seconds_per_epoch(self) -> list[float]:
        """Return the training seconds that an epoch takes at the rate of each stretch between evaluations."""
        places = [0.0, *(place for place, _ in self.curve("epoch"))]
        stretches = zip(self.history, places, places[1:], strict=False)
        return [float(line["seconds"]) / (end - start) for line, start, end in stretches if "seconds" in line]


@dataclass(frozen=True)
class Group:
    """The runs of one method of one task. Only ``runs``, the finished ones, enter any figure."""

    task: str
    method: str
    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...]

    def by_seed(self, figure: Figure) -> dict[int, float]:
        """Return the figure of each seed that has it, in percent."""
        found = {run.seed: run.figure(figure) for run in self.runs}
        return {seed: value for seed, value in found.items() if value is not None}

    def last(self, key: str) -> dict[int, float]:
        """Return a figure of the last history line of each seed that has it; ``checks`` tells of those not finite."""
        lines = {run.seed: run.history[-1] for run in self.runs}
        return {seed: float(line[key]) for seed, line in lines.items() if finite(line, key)}

    def summary(self, figure: Figure) -> Summary | None:
        """Return mean and deviation over the seeds, None when no seed has the figure."""
        return summarise(list(self.by_seed(figure).values()))

    @cached_property
    def seconds(self) -> float | None:
        """Return the median of the seconds of all epochs of all seeds."""
        seconds = [value for run in self.runs for value in run.seconds_per_epoch()]
        return statistics.median(seconds) if seconds else None


@dataclass(frozen=True)
class Comparison:
    """What a method gained over the baseline in one figure, in points of test error.

    absolute  difference of the two means over all their seeds; relative, the same as a share of the baseline's mean
    paired    the same on the seeds both have, with its interval
    """

    task: str
    method: str
    figure: Figure
    baseline: Summary
    other: Summary
    absolute: float
    relative: float | None
    paired: PairedDifference | None


@dataclass(frozen=True)
class Task:
    """What was trained: its groups by method, the baseline first."""

    name: str
    groups: dict[str, Group]

    @property
    def all_runs(self) -> list[Run]:
        """Return finished and unfinished runs of every method."""
        return [run for group in self.groups.values() for run in (*group.runs, *group.unfinished)]

    @property
    def head(self) -> Measure:
        """Return the figure that the task is judged by: the test error, or a score where the output is text."""
        runs = [run for group in self.groups.values() for run in group.runs]
        scored = (one for one in TEXT_HEADS if any(f"test_{one.key}" in run.history[-1] for run in runs))
        return next(scored, ERROR)

    @property
    def is_text(self) -> bool:
        """Say whether the output is text."""
        return self.head != ERROR

    @property
    def notes(self) -> list[str]:
        """Return what the runs say about their data in a ``note``."""
        notes = (source.get("note") for run in self.all_runs for source in (run.signature, run.config))
        return list(dict.fromkeys(str(note) for note in notes if note))

    def convergence(self, method: str) -> "Convergence | None":
        """Return how soon a method gets to where the baseline ends; None when either lacks the test error.

        Read off the test curves, which choose nothing: a description of the curves, no figure of merit.
        """
        one_hot = self.groups[BASELINE].summary("last") if BASELINE in self.groups else None
        curves = [curve for run in self.groups[method].runs if (curve := run.curve("test_error"))]
        if method == BASELINE or one_hot is None or not curves or self.is_text:
            return None  # a test text is read once, at the end
        found = [epochs_until(curve, one_hot.mean) for curve in curves]
        firsts = [math.inf if epoch is None else epoch for epoch in found]
        epochs = max(run.epochs_done for run in self.groups[method].runs)
        return Convergence(statistics.median(firsts), one_hot.mean, epochs, len(curves))

    def compare(self, method: str, figure: Figure) -> Comparison | None:
        """Compare a method with the baseline; None when either lacks the figure."""
        if method == BASELINE or BASELINE not in self.groups or method not in self.groups:
            return None
        one_hot, group = self.groups[BASELINE], self.groups[method]
        baseline, other = one_hot.summary(figure), group.summary(figure)
        if baseline is None or other is None:
            return None
        gain = baseline.mean - other.mean
        return Comparison(
            self.name,
            method,
            figure,
            baseline,
            other,
            gain,
            gain / baseline.mean if baseline.mean else None,
            paired_difference(one_hot.by_seed(figure), group.by_seed(figure)),
        )


@dataclass(frozen=True)
class Convergence:
    """When a method first reaches the baseline's mean error after its last epoch.

    epoch    median over the seeds of the first epoch at or below ``error``; infinite when half of them never get there
    error    percent
    epochs   how long the runs are
    n        seeds
    """

    epoch: float
    error: float
    epochs: int
    n: int


def collect(folders: Iterable[Path | str]) -> tuple[list[Task], list[str]]:
    """Read all runs at or below the folders; return the tasks and a warning for every run that is there twice.

    Raises DataError when a folder is missing, holds no run or a damaged one.
    """
    runs: dict[tuple[str, str, int], Run] = {}
    warnings = []
    for folder in find_runs(folders):
        run = Run.read(folder)
        key = (run.task, run.method, run.seed)
        if key in runs:
            kept, dropped = (run, runs[key]) if run.finished and not runs[key].finished else (runs[key], run)
            warnings.append(
                f"{run.task}, {method_name(run.method)}: seed {run.seed} is there twice; "
                f"{kept.folder.path} counts, {dropped.folder.path} does not"
            )
            run = kept
        runs[key] = run
    names = list(dict.fromkeys(run.task for run in runs.values()))
    return [_task(name, [run for run in runs.values() if run.task == name]) for name in names], warnings


def _task(name: str, runs: list[Run]) -> Task:
    groups = {}
    for method in sorted({run.method for run in runs}, key=method_rank):
        mine = sorted((run for run in runs if run.method == method), key=lambda run: run.seed)
        finished = tuple(run for run in mine if run.finished and run.history)
        unfinished = tuple(run for run in mine if not (run.finished and run.history))
        groups[method] = Group(name, method, finished, unfinished)
    return Task(name, groups)


def method_rank(method: str) -> tuple[int, str]:
    """Return the key that sorts methods: in the order of ``METHODS``, then others by name."""
    known = list(METHODS)
    return (known.index(method) if method in known else len(known), method)
