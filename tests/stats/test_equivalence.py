"""Two one-sided tests against scipy and statsmodels, and their error rate at the margin."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from labelemb.errors import ConfigError
from labelemb.stats.equivalence import conclude, equivalence


def test_it_is_the_larger_of_two_one_sided_tests() -> None:
    values = np.random.default_rng(0).normal(0.05, 0.2, 12)
    found = equivalence(values.tolist(), 0.3)
    assert found is not None
    below = ttest_1samp(values, 0.3, alternative="less")
    above = ttest_1samp(values, -0.3, alternative="greater")
    assert found.p == pytest.approx(max(below.pvalue, above.pvalue))
    interval = ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_statsmodels_agrees() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    random = np.random.default_rng(1)
    one, other = random.normal(size=15), random.normal(0.1, 1, size=15)
    found = equivalence((one - other).tolist(), 0.9)
    assert found is not None
    assert found.p == pytest.approx(weightstats.ttost_paired(one, other, -0.9, 0.9)[0])


@pytest.mark.parametrize("sd", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("n", [6, 10, 30])
def test_at_the_margin_it_is_claimed_in_at_most_five_percent(n: int, sd: float) -> None:
    random = np.random.default_rng(n)
    draws = random.normal(0.2, sd, (1000, n))
    claimed = np.mean([_alike(row.tolist(), 0.2) for row in draws])
    assert claimed <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_equal_differences_of_few_items_claim_nothing() -> None:
    # A test set of 100 items: the difference is 1 point in one of five seeds, 0.2 points on average.
    random = np.random.default_rng(2)
    draws = (random.random((1000, 8)) < 0.2).astype(float)
    assert np.mean([_alike(row.tolist(), 0.2, resolution=1.0) for row in draws]) <= 0.05
    assert equivalence([0.0] * 8, 0.2) is None
    assert _alike([0.0] * 8, 0.2, resolution=0.01)


def test_few_seeds_and_wrong_margins() -> None:
    assert equivalence([0.0, 0.01, -0.01, 0.0, 0.01], 0.2) is None
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="alike, within: expected a margin"):
            equivalence([0.0, 0.1] * 5, margin)


def test_both_a_difference_and_equivalence_can_be_shown() -> None:
    assert conclude(0.05, 0.01, 0.01) == "better but alike"
    assert conclude(-0.05, 0.01, 0.01) == "worse but alike"
    assert conclude(-0.5, 0.01, 0.5) == "worse"
    assert conclude(0.5, None, None) == "undecided"


def _alike(values: list[float], margin: float, resolution: float = 0.0) -> bool:
    found = equivalence(values, margin, resolution)
    return found is not None and found.p < 0.05
