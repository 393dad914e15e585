"""All pairs and effect sizes: published values, coverage, family-wise error rates for 3 to 30 seeds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.stats.effects import hedges_g, noncentrality_interval
from labelemb.stats.paired import paired_difference
from labelemb.stats.pairs import all_pairs

REPEATS = 200
ROOM = 2.5 * np.sqrt(0.05 * 0.95 / REPEATS)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

ERRORS: dict[str, Draw] = {  # (4 methods, seeds) test errors in percent of methods that are alike
    "normal": lambda random, n: random.normal(5, 0.3, (4, n)),
    "unequal spreads": lambda random, n: 5 + random.normal(0, 1, (4, n)) * np.array([[0.1], [2], [1], [2]]),
    "few items": lambda random, n: random.binomial(100, 0.05, (4, n)) * 1.0,  # ties in most pairs
    "many items": lambda random, n: random.binomial(10_000, 0.05, (4, n)) / 100,
}


def by_seed(rows: NDArray[np.float64]) -> dict[str, dict[int, float]]:
    return {f"m{method}": dict(enumerate(row.tolist())) for method, row in enumerate(rows)}


@pytest.mark.parametrize("name", ["normal", "few items", "many items"])
@pytest.mark.parametrize("n", [3, 8, 12])
def test_some_pair_of_alike_methods_is_told_apart_in_at_most_five_percent(name: str, n: int) -> None:
    random = np.random.default_rng(n)
    found = [all_pairs(by_seed(ERRORS[name](random, n))) for _ in range(REPEATS)]
    claimed = np.mean([any(pair.conclusion != "undecided" for pair in pairs) for pairs in found])
    assert claimed <= (0 if n < 6 else 0.05 + ROOM)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("n", [3, 6, 10])
def test_intervals_of_paired_differences_hold_the_truth(name: str, n: int) -> None:
    random = np.random.default_rng(n)
    held = []
    for _ in range(REPEATS):
        rows = by_seed(ERRORS[name](random, n))
        found = paired_difference(rows["m0"], rows["m1"])
        assert found is not None
        if found.low is not None and found.high is not None:  # None: equal differences claim nothing
            held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.95 - ROOM


def test_intervals_and_tests_of_thirty_seeds() -> None:
    random = np.random.default_rng(30)
    found = [paired_difference(*list(by_seed(ERRORS["few items"](random, 30)).values())[:2]) for _ in range(60)]
    held = [one.low <= 0 <= one.high for one in found if one and one.low is not None and one.high is not None]
    significant = [one.p < 0.05 for one in found if one and one.p is not None]
    assert len(held) == len(significant) == 60
    assert np.mean(held) >= 0.95 - 2.5 * 0.0281
    assert np.mean(significant) <= 0.05 + 2.5 * 0.0281


def test_published_noncentrality_interval() -> None:
    # conf.limits.nct(ncp = 2.83, df = 126) of the R package MBESS: 0.8337502 to 4.815359
    assert noncentrality_interval(2.83, 126) == pytest.approx((0.8337502, 4.815359), abs=1e-5)


def test_the_interval_of_the_effect_size_holds_the_truth() -> None:
    random = np.random.default_rng(0)
    held = []
    for _ in range(REPEATS):
        found = hedges_g(random.normal(0.8, 1, 8).tolist())
        assert found is not None
        held.append(found.low <= 0.8 <= found.high)
    assert np.mean(held) >= 0.95 - ROOM
    assert hedges_g([0.5, 0.5, 0.5]) is None
    with pytest.raises(DataError):
        hedges_g([1.0])


def test_every_pair_that_shares_a_seed_is_there_once() -> None:
    values = {"a": {0: 1.0, 1: 2.0}, "b": {0: 0.5, 1: 2.0}, "c": {7: 1.0}}
    (found,) = all_pairs(values)
    assert (found.first, found.second, found.won, found.tied) == ("a", "b", 1, 1)
    assert found.p is None


def test_alike_within_a_margin() -> None:
    random = np.random.default_rng(1)
    rows = by_seed(random.normal(5, 0.02, (3, 10)))
    assert {pair.conclusion for pair in all_pairs(rows, margin=0.2)} == {"alike"}
    assert {pair.conclusion for pair in all_pairs(rows)} == {"undecided"}
