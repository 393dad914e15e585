"""Intervals over seeds and items: coverage by simulation, and agreement of the bootstrap with the formula."""

import numpy as np
import pytest
from numpy.typing import NDArray

from labelemb.errors import DataError, ShapeError
from labelemb.stats.bootstrap import item_weights, resample_means
from labelemb.stats.crossed import crossed_interval

Flags = NDArray[np.bool_]
REPEATS = 300
ROOM = 2.5 * np.sqrt(0.05 * 0.95 / REPEATS)


def draw(random: np.random.Generator, seeds: int, seed_sd: float, items: int = 400) -> tuple[Flags, Flags]:
    """Errors of two methods that are alike on average: items differ in difficulty, and seeds in luck."""
    difficulty = random.normal(-1, 1.5, items)
    wrong = []
    for _ in range(2):
        own = random.normal(0, 0.5, items) + random.normal(0, seed_sd, (seeds, 1))
        wrong.append(difficulty + own + random.normal(0, 1, (seeds, items)) > 0)
    return wrong[0], wrong[1]


@pytest.mark.parametrize("seed_sd", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("seeds", [3, 6, 20])
def test_the_crossed_interval_holds_the_truth(seeds: int, seed_sd: float) -> None:
    random = np.random.default_rng(seeds)
    found = [crossed_interval(*draw(random, seeds, seed_sd)) for _ in range(REPEATS)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.95 - ROOM


def test_seeds_alone_would_be_too_sure() -> None:
    random = np.random.default_rng(0)
    held = []
    for _ in range(REPEATS):
        reference, other = draw(random, 20, 0.0)
        by_seed = reference.mean(axis=1) - other.mean(axis=1)
        held.append(abs(by_seed.mean()) <= 2.093 * by_seed.std(ddof=1) / np.sqrt(20))
    assert np.mean(held) < 0.9


@pytest.mark.parametrize("strata", [None, np.arange(400) % 10])
def test_the_bootstrap_holds_the_truth_for_six_seeds(strata: NDArray[np.int64] | None) -> None:
    random = np.random.default_rng(1)
    held = []
    for _ in range(100):
        reference, other = draw(random, 6, 0.15)
        found = resample_means({"a": reference, "b": other}, strata, draws=200)
        _, low, high = found.difference("a", "b")
        held.append(low <= 0 <= high)
    assert np.mean(held) >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 100)


def test_both_are_of_one_size_where_seeds_and_items_vary() -> None:
    reference, other = draw(np.random.default_rng(2), 20, 0.3)
    exact = crossed_interval(reference, other)
    mean, low, high = resample_means({"a": reference, "b": other}).difference("a", "b")
    assert mean == pytest.approx(exact.mean, abs=1e-4)
    assert (high - low) / (exact.high - exact.low) == pytest.approx(1, abs=0.35)


def test_equal_networks_differ_by_nothing() -> None:
    wrong, _ = draw(np.random.default_rng(3), 4, 0.2)
    found = crossed_interval(wrong, wrong)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert resample_means({"a": wrong, "b": wrong}).difference("a", "b") == pytest.approx((0, 0, 0))


def test_items_are_drawn_within_their_stratum() -> None:
    strata = np.array([0, 0, 0, 1])
    weights = item_weights(4, 50, np.random.default_rng(0), strata)
    assert weights.sum(axis=1) == pytest.approx(np.ones(50))
    assert weights[:, 3] == pytest.approx(np.full(50, 0.25))


def test_what_cannot_be() -> None:
    one = np.zeros((2, 3), bool)
    with pytest.raises(ShapeError, match="two arrays"):
        crossed_interval(one, np.zeros((2, 4), bool))
    with pytest.raises(ShapeError, match="two seeds"):
        crossed_interval(one[:1], one[:1])
    with pytest.raises(ShapeError, match="of one shape"):
        resample_means({"a": one, "b": np.zeros((3, 3), bool)})
    with pytest.raises(ShapeError, match="one stratum per item"):
        resample_means({"a": one}, np.zeros(2, np.int64))
    with pytest.raises(DataError, match="a method or more"):
        resample_means({})
