"""What a comparison shows, in one plain sentence."""

from collections.abc import Sequence

from labelemb.stats.equivalence import Conclusion, Equivalence
from labelemb.stats.paired import SEEDS_FOR_A_TEST, PairedDifference, seeds_for_any_finding
from labelemb.stats.power import SIZES, SeedsNeeded, seeds_needed, seeds_to_show, seeds_to_show_alike
from labelemb.stats.ranks import CriticalDifference
from labelemb.stats.several import Estimate

MOST_WORTH_NAMING = 1000  # seeds; nobody trains more


def number(value: float) -> str:
    """Write a number of points with two digits, 0.2 as 0.2.

    Example:
        >>> number(0.2), number(1.234), number(-0.001)
        ('0.2', '1.23', '0')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def interval_of_size(mean: float, low: float, high: float) -> tuple[float, float]:
    """Return the interval of |mean|: the ends of a negative mean change their signs and their places.

    Example:
        >>> interval_of_size(-1.5, -2.0, -1.0), interval_of_size(1.5, 1.0, 2.0)
        ((1.0, 2.0), (1.0, 2.0))
    """
    return (low, high) if mean >= 0 else (-high, -low)


def seeds(count: int) -> str:
    """Return "1 seed", "2 seeds"."""
    return "1 seed" if count == 1 else f"{count} seeds"


def conclusion_sentence(
    conclusion: Conclusion,
    difference: PairedDifference,
    test: Equivalence | None,
    margin: float | None = None,
    tests: int = 1,
) -> str:
    """Say what a comparison with the reference shows.

    Args:
        conclusion: Of ``conclude``.
        difference: Paired difference, positive where the method is better.
        test: Test of equivalence, where there is one.
        margin: Margin of equivalence; None where none was fixed.
        tests: Number of comparisons corrected for.

    Example:
        >>> conclusion_sentence("better", PairedDifference(1.5, 1.1, 1.9, 10, 0.002, 0.5), None)
        'better by 1.5 (1.1 to 1.9) points'
    """
    size = _size(difference)
    within = "" if margin is None else f"alike within {number(margin)} points"
    if conclusion == "alike":
        ends = "" if test is None else f" (90 % interval {number(test.low)} to {number(test.high)})"
        return within + ends
    if conclusion in ("better but alike", "worse but alike"):
        return f"{conclusion.split()[0]} by {size} points, but {within}"
    if conclusion in ("better", "worse"):
        return f"{conclusion} by {size} points"
    return f"not decided: {more_seeds(difference, margin, tests)}"


def more_seeds(difference: PairedDifference, margin: float | None = None, tests: int = 1) -> str:
    """Say how many more seeds would probably decide an undecided comparison.

    The observed difference and spread are taken as the true ones; the power is 80 %.

    Args:
        difference: What was observed.
        margin: Margin of equivalence; with one, showing equivalence decides, too.
        tests: Number of comparisons corrected for.

    Example:
        >>> more_seeds(PairedDifference(0.15, -0.02, 0.32, 8, 0.09, 0.2))
        '8 more seeds would probably decide'
    """
    least = seeds_for_any_finding(tests)
    if difference.sd is None or difference.n < 3:
        return f"{seeds(difference.n)}; nothing can be shown with fewer than {least}"
    if difference.n < least and difference.n < SEEDS_FOR_A_TEST and difference.sd == 0:
        return f"nothing can be shown with fewer than {least} seeds"
    needed = [] if difference.mean == 0 else [seeds_to_show(difference.sd, difference.mean, tests)]
    if margin is not None:
        needed.append(seeds_to_show_alike(difference.sd, margin, difference.mean, tests))
    possible = [count for count in needed if count is not None]
    if not possible or min(possible) > MOST_WORTH_NAMING:
        return f"even {MOST_WORTH_NAMING} seeds would hardly decide"
    more = max(min(possible) - difference.n, 1)
    return f"{more} more {'seed' if more == 1 else 'seeds'} would probably decide"


def power_sentence(difference: PairedDifference, sizes: Sequence[float] = SIZES, tests: int = 1) -> str:
    """Say how many seeds differences of some sizes need at the observed spread.

    Args:
        difference: What was observed.
        sizes: Differences in points.
        tests: Number of comparisons corrected for.

    Example:
        >>> power_sentence(PairedDifference(0.1, -0.1, 0.3, 10, 0.3, 0.3))
        'to show 0.1, 0.2, 0.5 points takes 73 (46 to 155), 20 (13 to 41), 6 (6 to 9) seeds'
    """
    if not difference.sd or difference.n < 2:
        return "the spread over the seeds is unknown: too few seeds"
    counts = [seeds_cell(seeds_needed(difference.sd, difference.n, size, tests)) for size in sizes]
    return f"to show {', '.join(map(number, sizes))} points takes {', '.join(counts)} seeds"


def seeds_cell(needed: SeedsNeeded) -> str:
    """Write a number of seeds with the range that the uncertainty of the spread gives.

    Example:
        >>> seeds_cell(SeedsNeeded(0.2, 20, 13, 41))
        '20 (13 to 41)'
    """
    if needed.seeds is None:
        return "more than can be trained"
    return f"{needed.seeds} ({needed.low} to {needed.high or 'many'})"


def before_training(planned: int, tests: int = 1) -> str:
    """Say before training whether so many seeds can show anything at all.

    Args:
        planned: Seeds per method.
        tests: Number of comparisons corrected for.

    Example:
        >>> before_training(3)
        '3 seeds cannot show any difference: a test needs 6 or more'
        >>> before_training(8, tests=2)
        '8 seeds: enough for a test of 2 comparisons (7 or more)'
    """
    least = seeds_for_any_finding(tests)
    compared = "" if tests == 1 else f" of {tests} comparisons"
    if planned < least:
        return f"{seeds(planned)} cannot show any difference: a test{compared} needs {least} or more"
    return f"{seeds(planned)}: enough for a test{compared} ({least} or more)"


def improvement_sentence(method: str, mean: Estimate, probability: Estimate, tasks: int) -> str:
    """Say what a method is worth over several tasks.

    Args:
        method: Its name.
        mean: Interquartile mean of the improvements in percent.
        probability: Probability of improvement, 0 to 1.
        tasks: Number of tasks.

    Example:
        >>> improvement_sentence("OLS", Estimate(4.0, 2.0, 6.0), Estimate(0.9, 0.8, 1.0), 3)
        'OLS: 4 % better (2 to 6, interquartile mean over 3 tasks); beats the reference with probability 0.9 (0.8 to 1)'
    """
    better = "better" if mean.value >= 0 else "worse"
    low, high = interval_of_size(mean.value, mean.low, mean.high)
    over = f"{number(low)} to {number(high)}, interquartile mean over {tasks} tasks"
    size = f"{number(abs(mean.value))} % {better} ({over})"
    chance = f"{number(probability.value)} ({number(probability.low)} to {number(probability.high)})"
    return f"{method}: {size}; beats the reference with probability {chance}"


def ranks_sentence(found: CriticalDifference) -> str:
    """Say what the average ranks of several methods over several tasks show."""
    if found.groups and len(found.groups[0]) == len(found.ranks):
        return f"over {found.tasks} tasks no two methods can be told apart by rank (Friedman p = {found.p:.2g})"
    best = next(iter(found.ranks))
    behind = [name for name, rank in found.ranks.items() if rank - found.ranks[best] > found.difference]
    beaten = f"ranks before {', '.join(behind)}" if behind else "cannot be told from the next"
    return f"over {found.tasks} tasks {best} {beaten} (critical difference {number(found.difference)} ranks)"


def _size(difference: PairedDifference) -> str:
    size = number(abs(difference.mean))
    if difference.low is None or difference.high is None:
        return size
    low, high = interval_of_size(difference.mean, difference.low, difference.high)
    return f"{size} ({number(low)} to {number(high)})"
