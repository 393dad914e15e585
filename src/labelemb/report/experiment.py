"""Experiments: all runs on one data set, grouped by method."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

from labelemb.methods import BASELINE
from labelemb.metrics.convergence import epochs_until
from labelemb.report.methods import method_rank, method_title
from labelemb.report.metric import ERROR, PRIMARY_TEXT_METRICS, Metric
from labelemb.report.run import Run, Selection, is_finite
from labelemb.runs import find_runs
from labelemb.stats.paired import PairedDifference, Summary, paired_difference, summarize


@dataclass(frozen=True)
class Group:
    """The runs of one method in one experiment. Only finished runs enter a statistic.

    Attributes:
        experiment: Name of the experiment.
        method: Name of the method or variant.
        runs: Finished runs, by seed.
        unfinished: The others.
    """

    experiment: str
    method: str
    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...]

    def test_errors(self, selection: Selection) -> dict[int, float]:
        """Return seed -> test error in percent."""
        errors = {run.seed: run.test_error(selection) for run in self.runs}
        return {seed: error for seed, error in errors.items() if error is not None}

    def last(self, key: str) -> dict[int, float]:
        """Return seed -> value in the last history line; values that are not finite are left out (see ``checks``)."""
        lines = {run.seed: run.history[-1] for run in self.runs}
        return {seed: float(line[key]) for seed, line in lines.items() if is_finite(line, key)}

    def summary(self, selection: Selection) -> Summary | None:
        """Return mean and standard deviation of the test error over the seeds, None without any."""
        return summarize(list(self.test_errors(selection).values()))

    @cached_property
    def seconds(self) -> float | None:
        """Return the median training time per epoch over all epochs and seeds, in seconds."""
        seconds = [value for run in self.runs for value in run.seconds_per_epoch()]
        return statistics.median(seconds) if seconds else None


@dataclass(frozen=True)
class ErrorReduction:
    """Reduction of the test error of a method compared with cross entropy.

    Attributes:
        absolute: Difference of the two means over all their seeds, in points.
        relative: The same as a fraction of the baseline's mean; None when that is 0.
        paired: The difference on the seeds that both have, with its interval.
    """

    absolute: float
    relative: float | None
    paired: PairedDifference | None


@dataclass(frozen=True)
class Convergence:
    """When a method first reaches the baseline's mean error after its last epoch.

    Attributes:
        epoch: Median over the seeds of the first epoch at or below ``error``; infinite when half of them never are.
        error: Percent.
        epochs: Length of the runs.
        n: Number of seeds.
        interval: Epochs between two evaluations of the test data, the longest of all runs: how exact ``epoch`` is.
    """

    epoch: float
    error: float
    epochs: int
    n: int
    interval: float


@dataclass(frozen=True, eq=False)  # identity makes it a key of caches
class Experiment:
    """All runs on one data set or preset, grouped by method, the baseline first."""

    name: str
    groups: dict[str, Group]

    @property
    def all_runs(self) -> list[Run]:
        """Return finished and unfinished runs of every method."""
        return [run for group in self.groups.values() for run in (*group.runs, *group.unfinished)]

    @property
    def primary_metric(self) -> Metric:
        """Return the metric that methods are compared by: the test error, or a score where the output is text."""
        runs = [run for group in self.groups.values() for run in group.runs]
        scores = (m for m in PRIMARY_TEXT_METRICS if any(f"test_{m.key}" in run.history[-1] for run in runs))
        return next(scores, ERROR)

    @property
    def is_text(self) -> bool:
        """Return whether the output is text."""
        return self.primary_metric != ERROR

    @property
    def data_notes(self) -> list[str]:
        """Return what the runs record about their data under ``note``."""
        notes = (source.get("note") for run in self.all_runs for source in (run.signature, run.config))
        return list(dict.fromkeys(str(note) for note in notes if note))

    def convergence(self, method: str) -> Convergence | None:
        """Return how soon a method reaches the final error of the baseline, None when either has no test curve.

        This describes the test curves; nothing is selected by it.
        """
        baseline = self.groups[BASELINE].summary("last") if BASELINE in self.groups else None
        curves = [curve for run in self.groups[method].runs if len(curve := run.curve("test_error")) > 1]
        if method == BASELINE or baseline is None or not curves or self.is_text:
            return None  # many tasks evaluate the test set once, at the end
        found = [epochs_until(curve, baseline.mean) for curve in curves]
        firsts = [math.inf if epoch is None else epoch for epoch in found]
        epochs = max(run.epochs_done for run in self.groups[method].runs)
        interval = max(later - earlier for curve in curves for (earlier, _), (later, _) in pairwise(curve))
        return Convergence(statistics.median(firsts), baseline.mean, epochs, len(curves), round(interval, 2))

    @lru_cache(maxsize=256)  # noqa: B019 - as many as one report has; permutation tests are slow
    def error_reduction(self, method: str, selection: Selection) -> ErrorReduction | None:
        """Compare a method with the baseline, None when either has no test error."""
        if method == BASELINE or BASELINE not in self.groups or method not in self.groups:
            return None
        baseline, group = self.groups[BASELINE], self.groups[method]
        before, after = baseline.summary(selection), group.summary(selection)
        if before is None or after is None:
            return None
        absolute = before.mean - after.mean
        relative = absolute / before.mean if before.mean else None
        paired = paired_difference(baseline.test_errors(selection), group.test_errors(selection))
        return ErrorReduction(absolute, relative, paired)


def load_experiments(folders: Iterable[Path | str]) -> tuple[list[Experiment], list[str]]:
    """Read all runs at or below the folders.

    Returns:
        The experiments, and a warning for each run that was found twice.

    Raises:
        DataError: A folder is missing, contains no run or a damaged one.
    """
    runs: dict[tuple[str, str, int], Run] = {}
    warnings = []
    for folder in find_runs(folders):
        run = Run.read(folder)
        key = (run.experiment, run.method, run.seed)
        if key in runs:
            kept, dropped = (run, runs[key]) if run.finished and not runs[key].finished else (runs[key], run)
            warnings.append(
                f"{run.experiment}, {method_title(run.method)}: seed {run.seed} was found twice; "
                f"{kept.folder.path} is used, {dropped.folder.path} is not"
            )
            run = kept
        runs[key] = run
    names = list(dict.fromkeys(run.experiment for run in runs.values()))
    return [_experiment(name, [run for run in runs.values() if run.experiment == name]) for name in names], warnings


def _experiment(name: str, runs: list[Run]) -> Experiment:
    groups = {}
    for method in sorted({run.method for run in runs}, key=method_rank):
        members = sorted((run for run in runs if run.method == method), key=lambda run: run.seed)
        finished = tuple(run for run in members if run.finished and run.history)
        unfinished = tuple(run for run in members if not (run.finished and run.history))
        groups[method] = Group(name, method, finished, unfinished)
    return Experiment(name, groups)
