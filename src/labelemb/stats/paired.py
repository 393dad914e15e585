"""Means over seeds, and what a difference between two methods is worth."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test
from scipy.stats import t as student_t

CONFIDENCE = 0.95
SEEDS_FOR_A_TEST = 6  # with five, the smallest p that flipping signs can give is 2 / 2^5 = 0.0625
RESAMPLES = 2**14  # exact up to 14 pairs


@dataclass(frozen=True)
class Summary:
    """A figure over n seeds; ``sd`` is the sample standard deviation (n - 1), None for a single seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """Baseline minus another method, seed by seed: positive where the other method makes fewer errors.

    mean       over the seeds that both methods have, in points
    low, high  95 % confidence interval of the mean by Student's t; None for a single pair, and for a handful whose
               differences are all the same, as happens where one test row is a third of a point
    n          pairs
    p          of the permutation test that both methods are alike (``sign_flip_p``); None below ``SEEDS_FOR_A_TEST``

    Student's t and not the percentile bootstrap, which is too narrow for as few runs as one can afford: of 1,500 draws
    of 6, 10 and 20 normal differences its 95 % intervals held the mean in 86, 90, 94 %, Student's in 95, 96, 96 %;
    log-normal (sigma 0.5): 83, 87, 92 % against 92, 92, 94 %.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    p: float | None = None


def summarise(values: Sequence[float]) -> Summary | None:
    """Return mean and sample standard deviation; None for no values.

    >>> summarise([1.0, 2.0, 3.0])
    Summary(mean=2.0, sd=1.0, n=3)
    """
    if not values:
        return None
    return Summary(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired_difference(baseline: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """Compare two methods on the seeds they share, given figure by seed; None when they share none.

    >>> paired_difference({0: 2.0, 1: 3.0}, {0: 1.5, 2: 9.0})
    PairedDifference(mean=0.5, low=None, high=None, n=1, p=None)
    """
    values = [baseline[seed] - other[seed] for seed in sorted(baseline.keys() & other.keys())]
    differences = summarise(values)
    if differences is None:
        return None
    if differences.sd is None or (differences.sd == 0 and differences.n < SEEDS_FOR_A_TEST):
        return PairedDifference(differences.mean, None, None, differences.n)
    quantile = float(student_t.ppf(0.5 + CONFIDENCE / 2, differences.n - 1))
    half = quantile * differences.sd / math.sqrt(differences.n)
    p = sign_flip_p(values) if differences.n >= SEEDS_FOR_A_TEST else None
    return PairedDifference(differences.mean, differences.mean - half, differences.mean + half, differences.n, p)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the paired permutation test of the mean.

    Were both methods alike, each difference could as well have the other sign: p is the share of all 2^n choices of signs
    whose mean is as far from 0 as the one found; above 14 pairs of 16,384 choices drawn with a fixed seed.

    differences  two or more

    >>> sign_flip_p([1.0, 2.0, 3.0, 4.0])  # 2 of 16
    0.125
    """

    def mean(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
        result: npt.NDArray[np.float64] = np.mean(x - y, axis=axis)
        return result

    values = np.asarray(differences, np.float64)
    found = permutation_test(
        (values, np.zeros_like(values)),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values for several comparisons at once, such that one of them below 0.05 by chance is rare: Holm 1979.

    The smallest of k is multiplied by k, the next by k - 1, ..., none below the one before it or above 1.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda pair: pair[1])):
        highest = max(highest, min(1.0, p * (len(p_values) - place)))
        adjusted[name] = highest
    return adjusted
