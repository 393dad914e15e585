"""The finding of a comparison in one plain sentence."""

import math

from labelemb.report.aggregate import BASELINE, Comparison, Convergence, Task, mode_name


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def verdict(comparison: Comparison) -> str:
    """Say whether a mode helped: by how much, between what bounds, on how many paired seeds."""
    paired = comparison.paired
    if paired is None:
        return f"{_side(comparison.absolute)} in the mean, but no seed was run in both modes: no interval"
    if paired.low is None or paired.high is None:
        return f"{_side(paired.mean)} on a single pair of runs: too few for an interval"
    pairs = plural(paired.n, "paired seed")
    if paired.low <= 0 <= paired.high:
        bounds = f"({paired.low:.2f} to {paired.high:.2f})"
        return f"no difference could be shown: {paired.mean:.2f} {bounds} points, {pairs}"
    low, high = sorted((abs(paired.low), abs(paired.high)))
    word = "better" if paired.mean > 0 else "worse"
    return f"{word} by {abs(paired.mean):.2f} ({low:.2f} to {high:.2f}) points, {pairs}"


def findings(task: Task) -> list[str]:
    """Return what each mode gained over the baseline by the test error after the last epoch, and how fast."""
    sentences = []
    for mode in task.groups:
        comparison = task.compare(mode, "last")
        if comparison is not None:
            sentences.append(f"{task.name}: {mode_name(mode)} against {mode_name(BASELINE)}: {verdict(comparison)}.")
        convergence = task.convergence(mode)
        if convergence is not None:
            sentences.append(f"{task.name}: {pace(convergence, mode)}.")
    return sentences


def pace(convergence: Convergence, mode: str) -> str:
    """Say when a mode reaches the error with which the baseline ends."""
    target = f"{mode_name(BASELINE)}'s mean error after the last epoch ({convergence.error:.2f} %)"
    if math.isinf(convergence.epoch):
        return f"{mode_name(mode)} does not reach {target} in half of its {plural(convergence.n, 'seed')}"
    median = f", median of {convergence.n} seeds" if convergence.n > 1 else ", 1 seed"
    return f"{mode_name(mode)} reaches {target} in epoch {convergence.epoch:g} of {convergence.epochs}{median}"


def _side(points: float) -> str:
    if points == 0:
        return "no difference"
    return f"{abs(points):.2f} points {'lower' if points > 0 else 'higher'}"
