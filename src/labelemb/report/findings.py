"""The finding of a comparison in one plain sentence."""

from labelemb.report.aggregate import BASELINE, Comparison, Task, mode_name


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def verdict(comparison: Comparison) -> str:
    """Say whether a mode helped: by how much, between what bounds, on how many paired seeds."""
    paired = comparison.paired
    if paired is None:
        return f"{_side(comparison.absolute)} in the mean, but no seed was run in both modes: no interval"
    if paired.low is None or paired.high is None:
        return f"{_side(paired.mean)} on a single seed: too few for an interval"
    pairs = plural(paired.n, "paired seed")
    if paired.low <= 0 <= paired.high:
        bounds = f"({paired.low:.2f} to {paired.high:.2f})"
        return f"no difference could be shown: {paired.mean:.2f} {bounds} points, {pairs}"
    low, high = sorted((abs(paired.low), abs(paired.high)))
    word = "better" if paired.mean > 0 else "worse"
    return f"{word} by {abs(paired.mean):.2f} ({low:.2f} to {high:.2f}) points, {pairs}"


def findings(task: Task) -> list[str]:
    """Return a sentence for each mode against the baseline, by the test error after the last epoch."""
    sentences = []
    for mode in task.groups:
        comparison = task.compare(mode, "last")
        if comparison is not None:
            sentences.append(f"{task.name}: {mode_name(mode)} against {mode_name(BASELINE)}: {verdict(comparison)}.")
    return sentences


def _side(points: float) -> str:
    if points == 0:
        return "no difference"
    return f"{abs(points):.2f} points {'lower' if points > 0 else 'higher'}"
