"""The finding of a comparison in one plain sentence."""

import math

from labelemb.methods import BASELINE
from labelemb.report.aggregate import Convergence, Task, method_name
from labelemb.report.comparison import ALPHA, Standing, compare_methods, shown_p


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def verdict(standing: Standing, lower: bool = True) -> str:
    """Say whether a method helped: by how much, between what bounds, on how many paired seeds.

    lower  whether less of the figure is better

    "Better" and "worse" need an interval without 0 and a corrected p below 0.05. The interval alone is not enough: it
    knows of no other method, and of ten methods that are alike one is outside its own in two of five reports.
    """
    paired, p = standing.paired, standing.p
    if paired is None:
        return f"{_side(standing.absolute, lower)} in the mean, but no seed was run in both methods: no interval"
    if paired.low is None or paired.high is None:
        once = "on a single pair of runs" if paired.n == 1 else f"on each of {paired.n} pairs of runs"
        return f"{_side(paired.mean, lower)} {once}: too few for an interval"
    test = "too few seeds for a test" if p is None else f"p = {shown_p(p)}"
    evidence = f"{plural(paired.n, 'paired seed')}, {test}"
    if paired.low <= 0 <= paired.high or (p is not None and p >= ALPHA):
        bounds = f"({paired.low:.2f} to {paired.high:.2f})"
        return f"no difference could be shown: {paired.mean:.2f} {bounds} points, {evidence}"
    low, high = sorted((abs(paired.low), abs(paired.high)))
    bounds = f"({low:.2f} to {high:.2f})"
    if p is None:
        return f"{_side(paired.mean, lower)} {bounds}, but {evidence}: no claim"
    return f"{'better' if paired.mean > 0 else 'worse'} by {abs(paired.mean):.2f} {bounds} points, {evidence}"


def findings(task: Task, reference: str | None = None) -> list[str]:
    """Return what each method gained over the reference by the head measure after the last epoch, and how fast."""
    comparison = compare_methods(task, reference)
    if comparison is None:
        return []
    sentences = []
    against = method_name(comparison.reference)
    for standing in comparison.standings:
        if standing.method == comparison.reference:
            continue
        said = verdict(standing, comparison.head.lower)
        sentences.append(f"{task.name}: {method_name(standing.method)} against {against}: {said}.")
        convergence = task.convergence(standing.method)
        if convergence is not None:
            sentences.append(f"{task.name}: {pace(convergence, standing.method)}.")
    return sentences


def pace(convergence: Convergence, method: str) -> str:
    """Say when a method reaches the error with which the baseline ends."""
    target = f"{method_name(BASELINE)}'s mean error after the last epoch ({convergence.error:.2f} %)"
    if math.isinf(convergence.epoch):
        return f"{method_name(method)} does not reach {target} in half of its {plural(convergence.n, 'seed')}"
    median = f", median of {convergence.n} seeds" if convergence.n > 1 else ", 1 seed"
    return f"{method_name(method)} reaches {target} in epoch {convergence.epoch:g} of {convergence.epochs}{median}"


def _side(points: float, lower: bool) -> str:
    """Say which way a method is better by so many points."""
    if points == 0:
        return "no difference"
    return f"{abs(points):.2f} points {'lower' if (points > 0) == lower else 'higher'}"
