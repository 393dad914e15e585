"""The result of a comparison in plain sentences."""

import math

from labelemb.methods import BASELINE
from labelemb.report.comparison import MethodResult, compare_methods, p_equation
from labelemb.report.experiment import Convergence, Experiment
from labelemb.report.methods import method_title
from labelemb.report.wording import plural
from labelemb.stats.paired import ALPHA


def verdict(result: MethodResult, lower: bool = True) -> str:
    """Return whether a method is better than the reference, by how much, and on what evidence.

    "Better" and "worse" require an interval without 0 and a corrected p-value below 0.05. The interval alone is not
    enough, since it is not corrected for the number of methods: of ten equally good methods, one lies outside its own
    interval in two of five reports.

    Args:
        result: Result of the method.
        lower: Whether a lower value of the metric is better.
    """
    paired, p = result.paired, result.p
    if paired is None:
        return f"{_direction(result.absolute, lower)} in the mean, but no seed was run with both methods: no interval"
    if paired.low is None or paired.high is None:
        pairs = "on a single pair of runs" if paired.n == 1 else f"on each of {paired.n} pairs of runs"
        return f"{_direction(paired.mean, lower)} {pairs}: too few for an interval"
    test = "too few seeds for a test" if p is None else p_equation(p)
    evidence = f"{plural(paired.n, 'paired seed')}, {test}"
    if paired.low <= 0 <= paired.high or (p is not None and p >= ALPHA):
        bounds = f"({paired.low:.2f} to {paired.high:.2f})"
        return f"no difference could be shown: {paired.mean:.2f} {bounds} points, {evidence}"
    low, high = sorted((abs(paired.low), abs(paired.high)))
    bounds = f"({low:.2f} to {high:.2f})"
    if p is None:
        return f"{_direction(paired.mean, lower)} {bounds}, but {evidence}: no claim"
    return f"{'better' if paired.mean > 0 else 'worse'} by {abs(paired.mean):.2f} {bounds} points, {evidence}"


def is_significant(result: MethodResult) -> bool:
    """Return whether ``verdict`` says better or worse."""
    paired = result.paired
    if paired is None or paired.low is None or paired.high is None or result.p is None:
        return False
    return not paired.low <= 0 <= paired.high and result.p < ALPHA


def findings(experiment: Experiment, reference: str | None = None) -> list[str]:
    """Return a sentence per method on its gain over the reference, and one on how fast it reaches it."""
    comparison = compare_methods(experiment, reference)
    if comparison is None:
        return []
    sentences = []
    against = method_title(comparison.reference)
    for result in comparison.others:
        said = verdict(result, comparison.primary.lower)
        sentences.append(f"{experiment.name}: {method_title(result.method)} against {against}: {said}.")
        convergence = experiment.convergence(result.method)
        if convergence is not None:
            sentences.append(f"{experiment.name}: {convergence_sentence(convergence, result.method)}.")
    return sentences


def convergence_sentence(convergence: Convergence, method: str) -> str:
    """Return when a method reaches the final error of the baseline, as exactly as the evaluations tell."""
    target = f"{method_title(BASELINE)}'s mean error after the last epoch ({convergence.error:.2f} %)"
    if math.isinf(convergence.epoch):
        return f"{method_title(method)} does not reach {target} in half of its {plural(convergence.n, 'seed')}"
    median = f", median of {convergence.n} seeds" if convergence.n > 1 else ", 1 seed"
    epochs = f"epoch {convergence.epoch:g} of {convergence.epochs}{median}"
    if convergence.interval > 1:
        epochs += f", evaluated every {convergence.interval:g} epochs"
    return f"{method_title(method)} reaches {target} {'by' if convergence.interval > 1 else 'in'} {epochs}"


def _direction(points: float, lower: bool) -> str:
    """Return "0.50 points lower" for an improvement by so many points of a metric of which lower is better."""
    if points == 0:
        return "no difference"
    return f"{abs(points):.2f} points {'lower' if (points > 0) == lower else 'higher'}"
