"""Several tasks together: interquartile mean, probability of improvement, performance profile.

Sources: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (the library
rliable), whose definitions are followed; intervals by a bootstrap stratified by task.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from labelemb.errors import DataError
from labelemb.stats.paired import CONFIDENCE

Array = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def improvements(reference: Mapping[int, float], other: Mapping[int, float], lower: bool = True) -> list[float]:
    """Return by how many percent each seed improves over the reference's value at the same seed.

    Args:
        reference: Seed -> value of the reference.
        other: Seed -> value of the other method.
        lower: Whether lower values are better.

    Raises:
        DataError: Where a value of the reference is 0: nothing can be a share of it.

    Example:
        >>> improvements({0: 10.0, 1: 20.0}, {0: 9.0, 1: 22.0})
        [10.0, -10.0]
    """
    shared = sorted(reference.keys() & other.keys())
    if any(reference[seed] == 0 for seed in shared):
        raise DataError("reference", "values other than 0", 0)
    sign = 1 if lower else -1
    return [sign * 100 * (reference[seed] - other[seed]) / reference[seed] for seed in shared]


def interquartile_mean(by_task: Mapping[str, Sequence[float]], draws: int = DRAWS) -> Estimate:
    """Return the mean of the middle half of all runs of all tasks.

    Args:
        by_task: Task -> value of each run.
        draws: Bootstrap resamples, of runs within each task.

    Raises:
        DataError: For no tasks, or a task without runs.

    Example:
        >>> interquartile_mean({"a": [1.0, 2.0, 3.0, 90.0]}).value
        2.5
    """

    def middle(tasks: Sequence[Array]) -> float:
        values = np.sort(np.concatenate(tasks))
        quarter = len(values) // 4
        return float(values[quarter : len(values) - quarter].mean())

    return _estimate(by_task, middle, draws)


def probability_of_improvement(
    reference: Mapping[str, Sequence[float]],
    other: Mapping[str, Sequence[float]],
    lower: bool = True,
    draws: int = DRAWS,
) -> Estimate:
    """Return the probability that a run of the other method beats a run of the reference, mean over the tasks.

    P(X better than Y) + P(X = Y) / 2 over all pairs of runs of a task: the Mann-Whitney statistic as a share.

    Args:
        reference: Task -> value of each run.
        other: Task -> value of each run, for the same tasks.
        lower: Whether lower values are better.
        draws: Bootstrap resamples.

    Raises:
        DataError: For unequal tasks, no tasks, or a task without runs.

    Example:
        >>> probability_of_improvement({"a": [3.0, 4.0]}, {"a": [1.0, 3.0]}).value
        0.875
    """
    if reference.keys() != other.keys():
        raise DataError("other", f"the tasks of the reference ({', '.join(reference)})", ", ".join(other))
    sign = 1 if lower else -1
    runs = {f"{side}/{task}": values for side, of in (("a", reference), ("b", other)) for task, values in of.items()}

    def share(values: Sequence[Array]) -> float:
        half = len(values) // 2
        wins = []
        for before, after in zip(values[:half], values[half:], strict=True):
            gains = np.sign(sign * (before[:, None] - after[None]))
            wins.append(float((gains.mean() + 1) / 2))
        return float(np.mean(wins))

    return _estimate(runs, share, draws)


def performance_profile(
    by_task: Mapping[str, Sequence[float]], thresholds: Sequence[float], draws: int = DRAWS
) -> list[Estimate]:
    """Return for each threshold the share of runs with at least that value, mean over the tasks.

    Args:
        by_task: Task -> improvement of each run.
        thresholds: Values at which the profile is read.
        draws: Bootstrap resamples.

    Raises:
        DataError: For no tasks, or a task without runs.

    Example:
        >>> [round(point.value, 2) for point in performance_profile({"a": [0.0, 1.0], "b": [2.0, 3.0]}, [0.5, 2.5])]
        [0.75, 0.25]
    """
    levels = np.asarray(thresholds, np.float64)

    def shares(tasks: Sequence[Array]) -> Array:
        profile: Array = np.mean([(values[:, None] >= levels).mean(axis=0) for values in tasks], axis=0)
        return profile

    tasks = _tasks(by_task)
    drawn = np.array([shares(sample) for sample in _resamples(tasks, draws)])
    ends = [_interval(drawn[:, level], tasks) for level in range(len(levels))]
    return [Estimate(float(value), *end) for value, end in zip(shares(tasks), ends, strict=True)]


def _estimate(by_task: Mapping[str, Sequence[float]], of: Callable[[Sequence[Array]], float], draws: int) -> Estimate:
    tasks = _tasks(by_task)
    return Estimate(of(tasks), *_interval(np.array([of(sample) for sample in _resamples(tasks, draws)]), tasks))


def _interval(draws: Array, tasks: Sequence[Array]) -> tuple[float, float]:
    """Return the expanded percentile interval, wide enough for few runs (Hesterberg 2015).

    The variance of a resample of n runs is too small by (n - 1) / n, and a percentile stands for a normal quantile
    where few runs need Student's.
    """
    runs, freedom = sum(map(len, tasks)), sum(len(values) - 1 for values in tasks)
    if freedom == 0:
        return -math.inf, math.inf
    tail = float(ndtr(math.sqrt(runs / freedom) * stdtrit(freedom, 0.5 - CONFIDENCE / 2)))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _tasks(by_task: Mapping[str, Sequence[float]]) -> list[Array]:
    empty = [task for task, values in by_task.items() if not len(values)]
    if not by_task or empty:
        raise DataError("by_task", "one task or more, each with runs", f"none for {empty[0]}" if empty else "none")
    return [np.asarray(values, np.float64) for values in by_task.values()]


def _resamples(tasks: Sequence[Array], draws: int) -> list[list[Array]]:
    """Draw the runs of each task with replacement."""
    random = np.random.default_rng(0)
    return [[values[random.integers(0, len(values), len(values))] for values in tasks] for _ in range(draws)]
