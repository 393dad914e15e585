"""Group-sequential comparison: train seeds in groups until a method is better, worse or alike, or the budget is spent.

Looking at the data after each group and stopping at the first p < 0.05 would find a difference far more often than in
5 % of the cases where there is none. Here every look uses one stricter level (Pocock 1977), chosen so that over all
looks together the rate is 5 %. It is found by simulating Student's t over the looks, not from tables for large samples:
with 6 seeds they would be too lenient. Paired differences of two methods that are alike are symmetric around 0, which
keeps the rate for other shapes than the normal one, too (``tests/stats/test_sequential.py``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # many times faster than scipy.stats.t

from labelemb.errors import ConfigError
from labelemb.stats.equivalence import Conclusion, check_margin, conclude
from labelemb.stats.paired import ALPHA, SEEDS_FOR_A_TEST, sample_sd

GROWTH = 1.25  # of the number of seeds from look to look
BUDGET = 30
_TARGET = 0.95  # of alpha is spent: room for the error of the simulation and for skewed differences
_SEQUENCES = 100_000
_CHUNK = 20_000


@dataclass(frozen=True)
class Look:
    """What one look at the data says.

    Attributes:
        n: Number of paired seeds.
        mean: Mean difference, positive where the method is better.
        low: Lower end of the repeated confidence interval: it holds the true difference at all looks together with
            95 % confidence.
        high: Upper end.
        conclusion: "undecided" means: go on if the budget allows.
    """

    n: int
    mean: float
    low: float
    high: float
    conclusion: Conclusion


@dataclass(frozen=True)
class Plan:
    """When to look, and how strictly.

    Attributes:
        looks: Numbers of seeds, rising; the last is the budget.
        level: Two-sided level of the test of a difference at each look.
        level_alike: One-sided level of the tests of equivalence at each look.
        margin: Half width of the region of equivalence.
    """

    looks: tuple[int, ...]
    level: float
    level_alike: float
    margin: float

    def look(self, differences: Sequence[float], resolution: float = 0.0) -> Look:
        """Conclude from the differences of the seeds trained so far.

        Args:
            differences: Paired differences, one per seed, as many as one of ``looks``.
            resolution: Smallest step of one difference, as in ``equivalence``.

        Raises:
            ConfigError: For a number of differences at which no look was planned.
        """
        n = len(differences)
        if n not in self.looks:
            raise ConfigError("differences", f"as many as a planned look ({', '.join(map(str, self.looks))})", n)
        mean, sd = fmean(differences), sample_sd(differences)
        error = max(sd, resolution / 2) / math.sqrt(n)
        half = float(stdtrit(n - 1, 1 - self.level / 2)) * error
        if error == 0:  # equal differences of unknown resolution carry no estimate of their own error
            return Look(n, mean, -math.inf, math.inf, "undecided")
        different = None if sd == 0 else float(2 * stdtr(n - 1, -abs(mean) / error))
        alike = float(stdtr(n - 1, -(self.margin - abs(mean)) / error))
        said = conclude(mean, _adjusted(different, self.level), _adjusted(alike, self.level_alike))
        return Look(n, mean, mean - half, mean + half, said)


def plan(margin: float, budget: int = BUDGET, comparisons: int = 1) -> Plan:
    """Plan the looks of a group-sequential comparison.

    Args:
        margin: Half width of the region of equivalence, in the unit of the metric.
        budget: Most seeds that may be trained per method.
        comparisons: Methods compared with the reference; the error rate is divided by it (Bonferroni).

    Raises:
        ConfigError: For a margin that is not above 0, or a budget below ``SEEDS_FOR_A_TEST``.

    Example:
        >>> plan(0.2, budget=20).looks
        (6, 8, 10, 13, 17, 20)
    """
    check_margin(margin)
    looks = looks_until(budget)
    return Plan(
        looks,
        nominal_level(looks, ALPHA / comparisons, two_sided=True),
        nominal_level(looks, ALPHA / comparisons, two_sided=False),
        margin,
    )


def looks_until(budget: int) -> tuple[int, ...]:
    """Return the numbers of seeds at which to look: from 6 on, about a quarter more each time, the last the budget.

    Raises:
        ConfigError: For a budget below ``SEEDS_FOR_A_TEST``.
    """
    if budget < SEEDS_FOR_A_TEST:
        raise ConfigError("budget", f"at least {SEEDS_FOR_A_TEST} seeds: fewer allow no test", budget)
    looks, n = [], SEEDS_FOR_A_TEST
    while n < budget:
        looks.append(n)
        n = math.ceil(n * GROWTH)
    return (*looks, budget)


@lru_cache
def nominal_level(looks: tuple[int, ...], alpha: float, two_sided: bool = True) -> float:
    """Return the level of each look for which the rate over all looks is (slightly below) alpha.

    The alpha quantile, over simulated sequences of standard normal differences, of the smallest p-value of any look.

    Args:
        looks: Numbers of seeds, rising.
        alpha: Rate over all looks together.
        two_sided: Whether differences of either sign count.
    """
    random = np.random.default_rng(0)
    smallest = [
        _smallest_p(random.standard_normal((_CHUNK, looks[-1])), looks, two_sided) for _ in range(_SEQUENCES // _CHUNK)
    ]
    return float(np.quantile(np.concatenate(smallest), _TARGET * alpha))


def _smallest_p(values: NDArray[np.float64], looks: tuple[int, ...], two_sided: bool) -> NDArray[np.float64]:
    """Return the smallest p-value of the t test over all looks: (sequences, budget) -> (sequences,)."""
    smallest = np.ones(len(values))
    sums, squares = values.cumsum(axis=1), np.square(values).cumsum(axis=1)
    for n in looks:
        mean = sums[:, n - 1] / n
        error = np.sqrt((squares[:, n - 1] / n - mean**2) / (n - 1))
        t = mean / error
        p = 2 * stdtr(n - 1, -np.abs(t)) if two_sided else stdtr(n - 1, -t)
        smallest = np.minimum(smallest, p)
    return smallest


def _adjusted(p: float | None, level: float) -> float | None:
    """Scale a p-value so that the level of a look becomes the common alpha."""
    return None if p is None else min(1.0, p * ALPHA / level)
