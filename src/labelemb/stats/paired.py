"""Paired comparison of two methods over seeds: mean difference, Student interval, sign-flip permutation test, Holm."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test
from scipy.stats import t as student_t

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA
SEEDS_FOR_A_TEST = 6  # with five pairs the smallest p of the sign-flip test is 2 / 2^5 = 0.0625
EXACT_UP_TO = 14  # pairs
RESAMPLES = 2**EXACT_UP_TO
ROUNDING = 1e-9  # differences of percentages that are equal on paper differ by about 1e-14


@dataclass(frozen=True)
class Summary:
    """Mean of a metric over n seeds; ``sd`` is the sample standard deviation (n - 1), None for a single seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """Reference minus another method, seed by seed: positive where the other method has the lower value.

    Student's t interval is used instead of the percentile bootstrap because the latter is too narrow for few runs: of
    1,500 draws of 6, 10 and 20 normal differences its 95 % intervals held the mean in 86, 90, 94 %, Student's in 95,
    96, 96 %; log-normal (sigma 0.5): 83, 87, 92 % against 92, 92, 94 %.

    Attributes:
        mean: Mean over the seeds that both methods have.
        low: Lower end of the 95 % confidence interval of the mean; None for a single pair, and for fewer than
            ``SEEDS_FOR_A_TEST`` pairs whose differences are all the same.
        high: Upper end.
        n: Number of pairs.
        p: p-value of ``sign_flip_p``; None below ``SEEDS_FOR_A_TEST`` pairs.
        sd: Sample standard deviation of the differences; None for a single pair.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    p: float | None = None
    sd: float | None = None


def summarize(values: Sequence[float]) -> Summary | None:
    """Return mean and sample standard deviation; None for no values.

    Example:
        >>> summarize([1.0, 2.0, 3.0])
        Summary(mean=2.0, sd=1.0, n=3)
    """
    if not values:
        return None
    return Summary(statistics.fmean(values), sample_sd(values) if len(values) > 1 else None, len(values))


def sample_sd(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1); exactly 0 where values differ by rounding alone.

    Example:
        >>> sample_sd([0.3 - 0.2, 0.2 - 0.1])
        0.0
    """
    sd = float(np.std(values, ddof=1))
    return 0.0 if sd < ROUNDING else sd


def paired_values(reference: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Return reference minus other for each shared seed, in the order of the seeds.

    Example:
        >>> paired_values({0: 2.0, 1: 3.0}, {0: 1.5, 2: 9.0})
        [0.5]
    """
    return [reference[seed] - other[seed] for seed in sorted(reference.keys() & other.keys())]


def paired_difference(reference: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """Compare two methods on the seeds they share.

    Args:
        reference: Seed -> value of the reference method.
        other: Seed -> value of the other method.

    Returns:
        The difference; None when no seed is shared.

    Example:
        >>> paired_difference({0: 2.0, 1: 3.0}, {0: 1.5, 2: 9.0})
        PairedDifference(mean=0.5, low=None, high=None, n=1, p=None, sd=None)
    """
    values = paired_values(reference, other)
    differences = summarize(values)
    if differences is None:
        return None
    mean, sd, n = differences.mean, differences.sd, differences.n
    if sd is None or (sd == 0 and n < SEEDS_FOR_A_TEST):
        return PairedDifference(mean, None, None, n, sd=sd)
    half = float(student_t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * sd / math.sqrt(n)
    p = sign_flip_p(values) if n >= SEEDS_FOR_A_TEST else None
    return PairedDifference(mean, mean - half, mean + half, n, p, sd)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired permutation test of the mean.

    Under the null hypothesis each difference could equally have the other sign: p is the share of all 2^n sign
    assignments whose mean is at least as far from 0 as the observed one; above 14 pairs, of 16,384 assignments drawn
    with a fixed seed.

    Args:
        differences: Two or more paired differences.

    Example:
        >>> sign_flip_p([1.0, 2.0, 3.0, 4.0])  # 2 of 16
        0.125
    """

    if len(differences) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for value in differences[1:]:  # the first sign is free: the test is two-sided
            sums = np.concatenate([sums + value, sums - value])
        as_far = np.abs(sums + differences[0]) >= abs(sum(differences)) - ROUNDING
        return float(as_far.mean())

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


def smallest_p(pairs: int) -> float:
    """Return the smallest p-value that ``sign_flip_p`` can give for so many pairs: 2 / 2^n.

    Example:
        >>> smallest_p(6)
        0.03125
    """
    return max(2.0 ** (1 - pairs), 2 / (RESAMPLES + 1) if pairs > EXACT_UP_TO else 0.0)


def seeds_for_any_finding(tests: int = 1, alpha: float = ALPHA) -> int:
    """Return the fewest paired seeds with which the sign-flip test can reach alpha after correction for all tests.

    With fewer, no result, however large the difference, can be significant.

    Example:
        >>> [seeds_for_any_finding(tests) for tests in (1, 2, 4, 10)]
        [6, 7, 8, 9]
    """
    pairs = SEEDS_FOR_A_TEST
    while tests * smallest_p(pairs) >= alpha and pairs <= EXACT_UP_TO:
        pairs += 1
    return pairs


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for several comparisons so that the family-wise error rate holds (Holm 1979).

    The smallest of k is multiplied by k, the next by k - 1, ..., made monotone and limited to 1.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda pair: pair[1])):
        highest = max(highest, min(1.0, p * (len(p_values) - rank)))
        adjusted[name] = highest
    return adjusted
