"""Intervals and tests of paired differences, against scipy, enumeration and figures made by hand."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_rel

from labelemb.stats.paired import holm, paired_difference, sign_flip_p


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=9), random.normal(1, 2, size=9)
    found = paired_difference(dict(enumerate(one)), dict(enumerate(other)))
    expected = ttest_rel(one, other).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("count", [2, 6, 9])
def test_the_permutation_test_is_the_share_of_all_signs(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, size=count)
    means = [np.mean(values * signs) for signs in product((1, -1), repeat=count)]
    as_far = np.mean([abs(mean) >= abs(values.mean()) - 1e-12 for mean in means])
    assert sign_flip_p(values.tolist()) == pytest.approx(as_far)


def test_a_sampled_test_is_repeatable_and_near_the_exact_one() -> None:
    values = np.random.default_rng(5).normal(0.5, size=20).tolist()
    assert sign_flip_p(values) == sign_flip_p(values)
    assert sign_flip_p(values) == pytest.approx(2 * _one_sided_by_sampling(values), abs=0.01)


def _one_sided_by_sampling(values: list[float]) -> float:
    signs = np.random.default_rng(9).choice([-1, 1], size=(100_000, len(values)))
    return float(np.mean((signs * values).mean(1) >= np.mean(values)))


def test_few_seeds_get_no_test() -> None:
    five = paired_difference(dict.fromkeys(range(5), 2.0), {seed: 1.0 + seed / 10 for seed in range(5)})
    six = paired_difference(dict.fromkeys(range(6), 2.0), {seed: 1.0 + seed / 10 for seed in range(6)})
    assert five is not None
    assert five.p is None
    assert six is not None
    assert six.p == pytest.approx(2 / 2**6)


def test_holm_by_hand() -> None:
    assert holm({}) == {}
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.02, "b": 0.01, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "b": 0.03, "a": 0.04, "c": 0.04}
    )
