"""Standardized effect size of a paired difference, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.special import nctdtrinc

from labelemb.errors import DataError
from labelemb.stats.paired import CONFIDENCE, sample_sd


@dataclass(frozen=True)
class EffectSize:
    """Hedges' g of paired differences: mean / standard deviation, corrected for small samples.

    Attributes:
        g: Effect size; 0.2 is called small, 0.5 medium, 0.8 large (Cohen 1988).
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    g: float
    low: float
    high: float


def hedges_g(differences: Sequence[float]) -> EffectSize | None:
    """Return Hedges' g of paired differences with an exact interval from the noncentral t distribution.

    g = J mean / sd, J = 1 - 3 / (4 (n - 1) - 1). Source: Hedges 1981; interval: Steiger and Fouladi 1997.

    Args:
        differences: Paired differences.

    Returns:
        The effect size; None where all differences are the same: it would be infinite.

    Raises:
        DataError: For fewer than two differences.

    Example:
        >>> round(hedges_g([1.0, 2.0, 3.0, 4.0]).g, 3)
        1.408
    """
    n = len(differences)
    if n < 2:
        raise DataError("differences", "two or more", n)
    sd = sample_sd(differences)
    if sd == 0:
        return None
    correction = 1 - 3 / (4 * (n - 1) - 1)
    t = math.sqrt(n) * fmean(differences) / sd
    low, high = noncentrality_interval(t, n - 1)
    scale = correction / math.sqrt(n)
    return EffectSize(scale * t, scale * low, scale * high)


def noncentrality_interval(t: float, df: int) -> tuple[float, float]:
    """Return the 95 % interval of the noncentrality of an observed t: where t is the 97.5 % and the 2.5 % point."""
    tail = (1 - CONFIDENCE) / 2
    return float(nctdtrinc(df, 1 - tail, t)), float(nctdtrinc(df, tail, t))
