"""Equivalence of two methods within a margin fixed beforehand: two one-sided t tests (TOST).

Source: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
equivalence of average bioavailability".
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit  # many times faster than scipy.stats.t

from labelemb.errors import ConfigError
from labelemb.stats.paired import ALPHA, ROUNDING, SEEDS_FOR_A_TEST, sample_sd

Conclusion = Literal["better", "worse", "alike", "better but alike", "worse but alike", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """Result of ``equivalence``.

    Attributes:
        margin: Half width of the region of equivalence.
        mean: Mean paired difference.
        low: Lower end of the 90 % interval (1 - 2 alpha); equivalence at alpha means that it lies inside the margin.
        high: Upper end.
        p: The larger of the two one-sided p-values.
        n: Number of pairs.
    """

    margin: float
    mean: float
    low: float
    high: float
    p: float
    n: int


def check_margin(margin: float) -> None:
    """Raise ConfigError unless the margin is a finite number above 0."""
    if not (math.isfinite(margin) and margin > 0):
        raise ConfigError("alike, within", "a margin in points above 0", margin)


def equivalence(differences: Sequence[float], margin: float, resolution: float = 0.0) -> Equivalence | None:
    """Test whether the mean difference lies within (-margin, margin).

    Args:
        differences: Paired differences, one per seed.
        margin: Largest difference that counts as none; choose it before looking at the data.
        resolution: Smallest step of one difference, 100 / test items for an error in percent; 0 where unknown. The
            standard deviation is taken as at least half a step: few runs may all differ by the same number of items,
            and a deviation of 0 would then claim an exactness that the items cannot give.

    Returns:
        The test; None for fewer than ``SEEDS_FOR_A_TEST`` pairs, and where all differences are the same and the
        resolution is unknown.

    Raises:
        ConfigError: For a margin that is not above 0.

    Example:
        >>> found = equivalence([0.05, -0.04, 0.02, 0.01, -0.03, 0.04], margin=0.2)
        >>> found.p < 0.05, -0.2 < found.low < found.high < 0.2
        (True, True)
    """
    check_margin(margin)
    n = len(differences)
    if n < SEEDS_FOR_A_TEST:
        return None
    error = max(sample_sd(differences), resolution / 2) / math.sqrt(n)
    if error == 0:
        return None
    mean = fmean(differences)
    half = float(stdtrit(n - 1, 1 - ALPHA)) * error
    p = float(stdtr(n - 1, -(margin - abs(mean)) / error))  # the nearer margin has the larger p-value
    return Equivalence(margin, mean, mean - half, mean + half, p, n)


def resolution_of(values: Iterable[float]) -> float:
    """Return the smallest difference between two values that are not equal, an upper bound of their resolution.

    Errors in percent of a test set of N items are multiples of 100 / N, which their differences show.

    Args:
        values: Values of one metric from any runs.

    Example:
        >>> resolution_of([2.0, 2.5, 2.5, 4.0])
        0.5
    """
    steps = np.diff(np.unique(np.fromiter(values, np.float64)))
    steps = steps[steps > ROUNDING]
    return float(steps.min()) if len(steps) else 0.0


def conclude(mean: float, p_different: float | None, p_alike: float | None, alpha: float = ALPHA) -> Conclusion:
    """Combine the test of a difference with the test of equivalence.

    Both can hold: many seeds may show a difference that is real and smaller than the margin.

    Args:
        mean: Mean difference, positive where the method is better than the reference.
        p_different: Adjusted p-value of the test of no difference; None where there are too few seeds.
        p_alike: Adjusted p-value of the equivalence test; None if it was not done.
        alpha: Significance level.

    Example:
        >>> conclude(0.3, 0.01, 0.4), conclude(0.05, 0.3, 0.01), conclude(0.1, 0.2, 0.2)
        ('better', 'alike', 'undecided')
    """
    different = p_different is not None and p_different < alpha
    alike = p_alike is not None and p_alike < alpha
    if different:
        if mean > 0:
            return "better but alike" if alike else "better"
        return "worse but alike" if alike else "worse"
    return "alike" if alike else "undecided"
