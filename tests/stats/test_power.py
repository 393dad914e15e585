"""Numbers of seeds against statsmodels, R's PowerTOST and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from labelemb.errors import ConfigError
from labelemb.stats.equivalence import equivalence
from labelemb.stats.paired import holm, seeds_for_any_finding, sign_flip_p, smallest_p
from labelemb.stats.power import (
    difference_power,
    sd_interval,
    seeds_needed,
    seeds_to_show,
    seeds_to_show_alike,
    tost_power,
)


@pytest.mark.parametrize(("n", "effect"), [(3, 1.0), (10, 0.5), (30, 0.1), (8, 3.0)])
def test_power_of_a_difference_is_that_of_statsmodels(n: int, effect: float) -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    expected = power.TTestPower().power(effect, n, 0.05)
    assert difference_power(n, 2.0, 2.0 * effect) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("cv", "n", "published"), [(0.25, 28, 0.807439), (0.3, 40, 0.815845)])
def test_power_of_equivalence_is_that_published_for_powertost(cv: float, n: int, published: float) -> None:
    # sampleN.TOST of the R package PowerTOST: 2x2 crossover, true ratio 0.95, limits 0.8 to 1.25.
    error = math.sqrt(2 * math.log1p(cv**2) / n)
    assert tost_power(error, n - 2, math.log(0.95), math.log(1.25)) == pytest.approx(published, abs=1e-6)


def test_so_many_seeds_have_the_power_and_one_fewer_has_not() -> None:
    n = seeds_to_show(0.4, 0.2, tests=3)
    assert n is not None
    assert difference_power(n, 0.4, 0.2, 0.05 / 3) >= 0.8 > difference_power(n - 1, 0.4, 0.2, 0.05 / 3)
    values = np.random.default_rng(0).normal(0.2, 0.4, (2000, n))
    assert np.mean(ttest_1samp(values, 0, axis=1).pvalue < 0.05 / 3) == pytest.approx(0.8, abs=0.04)


def test_so_many_seeds_show_equivalence() -> None:
    n = seeds_to_show_alike(0.3, 0.2, mean=0.05)
    assert n is not None
    values = np.random.default_rng(1).normal(0.05, 0.3, (500, n))
    found = [equivalence(row.tolist(), 0.2) for row in values]
    assert np.mean([one is not None and one.p < 0.05 for one in found]) == pytest.approx(0.8, abs=0.06)


def test_smaller_differences_and_wider_spreads_need_more() -> None:
    counts = [seeds_to_show(0.3, size) or 0 for size in (1.0, 0.5, 0.2, 0.1)]
    assert counts == sorted(counts)
    needed = seeds_needed(0.3, 6, 0.2)
    assert needed.low is not None
    assert needed.seeds is not None
    assert needed.high is not None
    assert needed.low < needed.seeds < needed.high


def test_the_smallest_number_of_seeds_is_where_the_smallest_p_survives_the_correction() -> None:
    for tests in (1, 2, 3, 5, 12, 66):
        n = seeds_for_any_finding(tests)
        assert max(holm({str(test): smallest_p(n) for test in range(tests)}).values()) < 0.05
        assert n == 6 or tests * smallest_p(n - 1) >= 0.05
    for n in (6, 10, 14, 15, 20):
        assert sign_flip_p([1.0 + seed / 10 for seed in range(n)]) == pytest.approx(smallest_p(n))


def test_the_interval_of_a_spread_covers_it() -> None:
    values = np.random.default_rng(2).normal(size=(2000, 6)).std(axis=1, ddof=1)
    covered = [low <= 1 <= high for low, high in (sd_interval(float(sd), 6) for sd in values)]
    assert np.mean(covered) == pytest.approx(0.8, abs=0.03)


def test_what_cannot_be() -> None:
    assert seeds_to_show_alike(0.3, 0.2, mean=0.2) is None
    assert seeds_to_show(100.0, 0.001) is None
    assert seeds_to_show(0.0, 0.1) == 6
    with pytest.raises(ConfigError, match="difference: expected a number other than 0"):
        seeds_to_show(0.3, 0.0)
    with pytest.raises(ConfigError, match="sd: expected a standard deviation"):
        seeds_to_show(-1.0, 0.1)
