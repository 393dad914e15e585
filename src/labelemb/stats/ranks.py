"""Average ranks of several methods over several tasks: Friedman's test and Nemenyi's critical difference.

Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from labelemb.errors import DataError
from labelemb.stats.paired import ALPHA


@dataclass(frozen=True)
class CriticalDifference:
    """Result of ``critical_difference``.

    Attributes:
        ranks: Method -> average rank over the tasks, best (1) first.
        difference: Average ranks that differ by less cannot be told apart at 5 %.
        p: p-value of Friedman's test that all methods rank alike; no pair is told apart unless it is below 0.05.
        tasks: Number of tasks.
        groups: Methods that cannot be told apart, the largest sets in the order of the ranks: the bars of
            the diagram.
    """

    ranks: dict[str, float]
    difference: float
    p: float
    tasks: int
    groups: list[tuple[str, ...]]


def critical_difference(values: Mapping[str, Mapping[str, float]], lower: bool = True) -> CriticalDifference:
    """Rank the methods in every task and test the average ranks.

    CD = q * sqrt(k (k + 1) / (6 T)) for k methods and T tasks, q the 95 % point of the studentized range / sqrt(2).

    Args:
        values: Task -> method -> mean value over the seeds; every task has the same three methods or more.
        lower: Whether lower values are better.

    Raises:
        DataError: For fewer than two tasks or three methods, or tasks with different methods.
    """
    methods = list(next(iter(values.values()), {}))
    uneven = [task for task, found in values.items() if found.keys() != set(methods)]
    if len(values) < 2 or len(methods) < 3 or uneven:
        got = f"other methods in {uneven[0]}" if uneven else f"{len(values)} tasks, {len(methods)} methods"
        raise DataError("values", "two tasks or more, each with the same three methods or more", got)
    sign = 1 if lower else -1
    table = sign * np.array([[found[method] for method in methods] for found in values.values()])  # (T, k)
    means = rankdata(table, axis=1).mean(axis=0)
    ranks = dict(sorted(zip(methods, map(float, means), strict=True), key=lambda pair: pair[1]))
    quantile = float(studentized_range.ppf(1 - ALPHA, len(methods), math.inf)) / math.sqrt(2)
    apart = quantile * math.sqrt(len(methods) * (len(methods) + 1) / (6 * len(table)))
    level = bool(np.all(table == table[:, :1]))  # the statistic would be 0 / 0
    p = 1.0 if level else float(friedmanchisquare(*table.T).pvalue)
    groups = [tuple(ranks)] if p >= ALPHA else _groups(ranks, apart)
    return CriticalDifference(ranks, apart, p, len(table), groups)


def _groups(ranks: Mapping[str, float], apart: float) -> list[tuple[str, ...]]:
    """Return the largest runs of neighboring ranks whose ends differ by no more than ``apart``."""
    names, groups, reached = list(ranks), [], 0
    for start, name in enumerate(names):
        end = max(place for place, other in enumerate(names) if ranks[other] - ranks[name] <= apart) + 1
        if end - start > 1 and end > reached:
            groups.append(tuple(names[start:end]))
        reached = max(reached, end)
    return groups
