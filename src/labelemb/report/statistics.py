"""Means over seeds, and what a difference between two modes is worth."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """A figure over n seeds; ``sd`` is the sample standard deviation (n - 1), None for a single seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """Baseline minus another mode, seed by seed: positive where the other mode makes fewer errors.

    mean       over the seeds that both modes have, in points
    low, high  95 % confidence interval of the mean by Student's t; None for a single pair
    n          pairs
    """

    mean: float
    low: float | None
    high: float | None
    n: int


def summarise(values: Sequence[float]) -> Summary | None:
    """Return mean and sample standard deviation; None for no values.

    >>> summarise([1.0, 2.0, 3.0])
    Summary(mean=2.0, sd=1.0, n=3)
    """
    if not values:
        return None
    return Summary(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired_difference(baseline: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """Compare two modes on the seeds they share, given figure by seed; None when they share none.

    >>> paired_difference({0: 2.0, 1: 3.0}, {0: 1.5, 2: 9.0})
    PairedDifference(mean=0.5, low=None, high=None, n=1)
    """
    differences = summarise([baseline[seed] - other[seed] for seed in sorted(baseline.keys() & other.keys())])
    if differences is None:
        return None
    if differences.sd is None:
        return PairedDifference(differences.mean, None, None, 1)
    quantile = float(student_t.ppf(0.5 + CONFIDENCE / 2, differences.n - 1))
    half = quantile * differences.sd / math.sqrt(differences.n)
    return PairedDifference(differences.mean, differences.mean - half, differences.mean + half, differences.n)
