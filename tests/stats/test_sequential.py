"""The error rates of looking several times, by simulation, and Pocock's published constants."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from labelemb.errors import ConfigError
from labelemb.stats.sequential import Plan, looks_until, nominal_level, plan

REPEATS = 2000
ROOM = 2 * np.sqrt(0.05 * 0.95 / REPEATS)  # of the simulation
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

NULLS: dict[str, Draw] = {  # paired differences of methods that are alike
    "normal": lambda random, n: random.normal(0, 0.4, n),
    "heavy tails": lambda random, n: 0.3 * random.standard_t(3, n),
    "unequal spreads": lambda random, n: random.normal(size=n) * np.where(np.arange(n) % 2, 0.1, 1.0),
    "ties": lambda random, n: np.round(random.normal(0, 0.2, n) / 0.28) * 0.28,  # a test set of 357 items
    "skewed errors": lambda random, n: random.exponential(0.5, n) - random.exponential(0.5, n),
}


def outcome(schedule: Plan, values: NDArray[np.float64], resolution: float = 0.0) -> str:
    """Look as often as planned, stop when decided."""
    for n in schedule.looks:
        said = schedule.look(values[:n].tolist(), resolution).conclusion
        if said != "undecided":
            return said
    return "undecided"


@pytest.mark.parametrize("name", NULLS)
def test_methods_that_are_alike_are_told_apart_in_at_most_five_percent(name: str) -> None:
    schedule, random = plan(0.05, budget=30), np.random.default_rng(0)
    found = [outcome(schedule, NULLS[name](random, 30)) for _ in range(REPEATS)]
    wrong = np.mean([said.startswith(("better", "worse")) for said in found])
    assert wrong <= 0.05 + ROOM


def test_looking_again_and_again_at_five_percent_would_not_hold_it() -> None:
    careless = Plan(looks_until(30), 0.05, 0.05, 0.05)
    random = np.random.default_rng(0)
    found = [outcome(careless, random.normal(0, 0.4, 30)) for _ in range(400)]
    assert np.mean([said.startswith(("better", "worse")) for said in found]) > 0.1


@pytest.mark.parametrize("sd", [0.1, 0.3, 0.6])
def test_methods_at_the_margin_are_called_alike_in_at_most_five_percent(sd: float) -> None:
    schedule, random = plan(0.2, budget=30), np.random.default_rng(1)
    found = [outcome(schedule, random.normal(0.2, sd, 30)) for _ in range(REPEATS)]
    assert np.mean([said == "alike" for said in found]) <= 0.05 + ROOM


def test_one_flip_in_five_seeds_is_not_called_alike() -> None:
    schedule, random = plan(0.2, budget=30), np.random.default_rng(2)
    found = [outcome(schedule, 1.0 * (random.random(30) < 0.2), resolution=1.0) for _ in range(400)]
    assert np.mean([said == "alike" for said in found]) <= 0.05


def test_a_clear_difference_and_clear_equivalence_stop_early() -> None:
    schedule, random = plan(0.2), np.random.default_rng(3)
    assert schedule.look(random.normal(2.0, 0.3, 6).tolist()).conclusion == "better"
    assert schedule.look(random.normal(-2.0, 0.3, 6).tolist()).conclusion == "worse"
    assert schedule.look(random.normal(0.0, 0.02, 6).tolist()).conclusion in ("alike", "better but alike")


def test_the_repeated_interval_holds_the_truth_at_all_looks_together() -> None:
    schedule, random = plan(0.2, budget=20), np.random.default_rng(4)
    held = []
    for _ in range(REPEATS):
        values = random.normal(0.3, 0.5, 20)
        looks = [schedule.look(values[:n].tolist()) for n in schedule.looks]
        held.append(all(look.low <= 0.3 <= look.high for look in looks))
    assert np.mean(held) >= 0.95 - ROOM


@pytest.mark.parametrize(("looks", "published"), [(2, 0.0294), (5, 0.0158)])
def test_with_many_seeds_the_level_is_pococks(looks: int, published: float) -> None:
    # Pocock 1977, table 1: nominal levels of normal data for a rate of 0.05. Ours aims at 0.0475.
    level = nominal_level(tuple(50 * (look + 1) for look in range(looks)), 0.05)
    assert 0.9 * published < level < published


def test_more_comparisons_are_stricter() -> None:
    assert plan(0.2, 20, comparisons=3).level < plan(0.2, 20).level


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="budget: expected at least 6 seeds"):
        plan(0.2, budget=5)
    with pytest.raises(ConfigError, match="alike, within: expected a margin"):
        plan(0.0)
    with pytest.raises(ConfigError, match="as many as a planned look"):
        plan(0.2).look([0.1] * 7)
    assert plan(0.2).look([0.1] * 6).conclusion == "undecided"
