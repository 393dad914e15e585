"""How many paired seeds a difference, or equivalence within a margin, needs at an observed spread."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import chi, chi2, nct, norm
from scipy.stats import t as student_t

from labelemb.errors import ConfigError
from labelemb.stats.paired import ALPHA, SEEDS_FOR_A_TEST, seeds_for_any_finding

POWER = 0.8
SIZES = (0.1, 0.2, 0.5)  # points; differences whose seeds a report names
MOST_SEEDS = 100_000
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


@dataclass(frozen=True)
class SeedsNeeded:
    """Paired seeds needed for a power of 80 %.

    Attributes:
        difference: Difference to show, or margin of equivalence, in the unit of the metric.
        seeds: At the observed standard deviation; None above ``MOST_SEEDS``.
        low: At the lower end of its 80 % confidence interval.
        high: At the upper end; a deviation estimated from few seeds is itself uncertain.
    """

    difference: float
    seeds: int | None
    low: int | None
    high: int | None


def difference_power(pairs: int, sd: float, difference: float, alpha: float = ALPHA) -> float:
    """Return the power of the two-sided paired t test.

    P(|T| > t) with T noncentral t, df = n - 1, noncentrality difference * sqrt(n) / sd.

    Args:
        pairs: Number of paired seeds n >= 2.
        sd: Standard deviation of one paired difference, > 0.
        difference: True mean difference.
        alpha: Significance level; divide it by the number of tests for a bound under Holm's correction.

    Example:
        >>> round(difference_power(10, sd=1.0, difference=1.0), 3)
        0.803
    """
    critical = float(student_t.ppf(1 - alpha / 2, pairs - 1))
    noncentrality = difference * math.sqrt(pairs) / sd
    far = nct.sf(critical, pairs - 1, noncentrality)
    other_side = nct.cdf(-critical, pairs - 1, noncentrality)
    return float(np.nan_to_num(far, nan=1.0) + np.nan_to_num(other_side, nan=0.0))  # scipy fails for huge ones


def tost_power(standard_error: float, df: int, mean: float, margin: float, alpha: float = ALPHA) -> float:
    """Return the power of two one-sided t tests.

    Integral over the estimated error s of P(|estimate| < margin - t * s), the estimate normal around ``mean`` with
    ``standard_error``, and s / standard_error chi-distributed / sqrt(df). Source: Phillips 1990, "Power of the two
    one-sided tests procedure in bioequivalence".

    Args:
        standard_error: True standard error of the estimate.
        df: Degrees of freedom of the estimated error.
        mean: True difference.
        margin: Half width of the region of equivalence.
        alpha: Level of each one-sided test.
    """
    critical = float(student_t.ppf(1 - alpha, df))
    largest = min(margin / (critical * standard_error), 1 + 12 / math.sqrt(2 * df)) * math.sqrt(df)
    ratio = (_NODES + 1) / 2 * largest  # chi variable, up to where the region closes
    room = margin - critical * standard_error * ratio / math.sqrt(df)
    inside = norm.cdf((room - mean) / standard_error) - norm.cdf((-room - mean) / standard_error)
    return float(np.sum(_WEIGHTS * largest / 2 * np.maximum(inside, 0) * chi.pdf(ratio, df)))


def seeds_to_show(sd: float, difference: float, tests: int = 1, power: float = POWER) -> int | None:
    """Return the fewest paired seeds that show a true difference with the given power.

    Args:
        sd: Standard deviation of one paired difference.
        difference: True mean difference, not 0.
        tests: Number of comparisons corrected for (Bonferroni, an upper bound for Holm).
        power: Probability of a significant result.

    Returns:
        Number of seeds; None above ``MOST_SEEDS``.

    Raises:
        ConfigError: For a negative standard deviation or a difference of 0.

    Example:
        >>> seeds_to_show(sd=0.3, difference=0.2)
        20
    """
    _check_sd(sd)
    if difference == 0:
        raise ConfigError("difference", "a number other than 0", difference)
    start = seeds_for_any_finding(tests)
    if sd == 0:
        return start
    return _fewest(lambda n: difference_power(n, sd, abs(difference), ALPHA / tests) >= power, start)


def seeds_to_show_alike(
    sd: float, margin: float, mean: float = 0.0, tests: int = 1, power: float = POWER
) -> int | None:
    """Return the fewest paired seeds that show equivalence within a margin.

    Args:
        sd: Standard deviation of one paired difference.
        margin: Half width of the region of equivalence.
        mean: True difference; at or beyond the margin there is no such number.
        tests: Number of comparisons corrected for.
        power: Probability of showing equivalence.

    Raises:
        ConfigError: For a negative standard deviation.

    Example:
        >>> seeds_to_show_alike(sd=0.3, margin=0.2)
        21
    """
    _check_sd(sd)
    if abs(mean) >= margin:
        return None
    if sd == 0:
        return SEEDS_FOR_A_TEST
    level = ALPHA / tests
    return _fewest(lambda n: tost_power(sd / math.sqrt(n), n - 1, mean, margin, level) >= power, SEEDS_FOR_A_TEST)


@lru_cache(maxsize=256)
def seeds_needed(sd: float, n: int, difference: float, tests: int = 1) -> SeedsNeeded:
    """Return the seeds that show a difference at the spread observed over n seeds, and at the ends of its interval.

    Args:
        sd: Sample standard deviation of n paired differences.
        n: Number of pairs it is estimated from, >= 2.
        difference: Difference to show.
        tests: Number of comparisons corrected for.

    Raises:
        ConfigError: As ``seeds_to_show`` and ``sd_interval``.
    """
    low, high = sd_interval(sd, n)
    return SeedsNeeded(difference, *(seeds_to_show(value, difference, tests) for value in (sd, low, high)))


def sd_interval(sd: float, n: int, confidence: float = 0.8) -> tuple[float, float]:
    """Return the confidence interval of a standard deviation of normal values: sd * sqrt((n - 1) / chi2 quantile).

    Args:
        sd: Sample standard deviation.
        n: Number of values it is estimated from.
        confidence: Confidence level.

    Raises:
        ConfigError: For fewer than two values.

    Example:
        >>> [round(end, 2) for end in sd_interval(1.0, 6)]
        [0.74, 1.76]
    """
    if n < 2:
        raise ConfigError("n", "two seeds or more", n)
    tail = (1 - confidence) / 2
    low, high = (sd * math.sqrt((n - 1) / float(chi2.ppf(q, n - 1))) for q in (1 - tail, tail))
    return low, high


def _check_sd(sd: float) -> None:
    if not (math.isfinite(sd) and sd >= 0):
        raise ConfigError("sd", "a standard deviation >= 0", sd)


def _fewest(enough: Callable[[int], bool], start: int) -> int | None:
    """Return the first n >= start that is enough, by doubling and bisection: the power rises with n."""
    if enough(start):
        return start
    low, high = start, 2 * start
    while not enough(high):
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
