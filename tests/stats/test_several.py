"""Several tasks: rliable's definitions by hand, Demšar's published example."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from labelemb.errors import DataError
from labelemb.stats.ranks import critical_difference
from labelemb.stats.several import (
    improvements,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

# AUC of C4.5 and three variants on 14 data sets: Demšar 2006, table 6.
PUBLISHED = """\
0.763 0.768 0.771 0.798
0.599 0.591 0.590 0.569
0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898
0.936 0.931 0.916 0.931
0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875
1.000 1.000 1.000 1.000
0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669
0.972 0.981 0.975 0.975
0.957 0.978 0.946 0.970"""


def published() -> dict[str, dict[str, float]]:
    rows = [line.split() for line in PUBLISHED.splitlines()]
    return {
        str(task): dict(zip(("C4.5", "m", "cf", "m+cf"), map(float, row), strict=True)) for task, row in enumerate(rows)
    }


def test_the_published_ranks_and_critical_difference() -> None:
    table = published()
    table["12"]["cf"] = 0.9751  # the ranks of the paper are those of unrounded values
    found = critical_difference(table, lower=False)
    assert found.ranks == pytest.approx({"C4.5": 3.143, "m": 2.0, "cf": 2.893, "m+cf": 1.964}, abs=5e-4)
    assert found.difference == pytest.approx(1.25, abs=5e-3)
    assert list(found.ranks) == ["m+cf", "m", "cf", "C4.5"]


def test_groups_are_bars_that_overlap() -> None:
    random = np.random.default_rng(0)
    values = {
        str(task): {name: level + random.normal(0, 1.0) for level, name in enumerate("abcd")} for task in range(12)
    }
    found = critical_difference(values)
    assert found.p < 0.05
    assert found.groups
    for group in found.groups:
        assert found.ranks[group[-1]] - found.ranks[group[0]] <= found.difference
    assert not any({"a", "d"} <= set(group) for group in found.groups)


def test_methods_that_are_level_everywhere() -> None:
    found = critical_difference({task: dict.fromkeys("abc", 1.0) for task in "xy"})
    assert (found.p, found.groups) == (1.0, [("a", "b", "c")])


def test_rank_tests_of_alike_methods_find_a_difference_in_at_most_five_percent() -> None:
    random = np.random.default_rng(1)
    found = [
        critical_difference({str(task): dict(zip("abcd", random.random(4), strict=True)) for task in range(10)})
        for _ in range(300)
    ]
    assert np.mean([len(one.groups) != 1 or len(one.groups[0]) < 4 for one in found]) <= 0.05 + 2 * 0.0126


def test_the_interquartile_mean_ignores_the_ends() -> None:
    runs = {"a": [0.0, 1.0, 2.0, 3.0], "b": [100.0, 4.0, 5.0, -50.0]}
    assert interquartile_mean(runs, draws=10).value == pytest.approx(np.mean([1, 2, 3, 4]))


def test_its_interval_holds_the_truth() -> None:
    random = np.random.default_rng(2)
    held = []
    for _ in range(80):
        found = interquartile_mean({task: random.normal(3, 1, 10).tolist() for task in "abcd"}, draws=100)
        held.append(found.low <= 3 <= found.high)
    assert np.mean(held) >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 80)


def test_probability_of_improvement_is_mann_whitneys() -> None:
    random = np.random.default_rng(3)
    reference, other = random.normal(1, 1, 9).round(1), random.normal(0, 1, 7).round(1)
    expected = mannwhitneyu(reference, other).statistic / (9 * 7)
    found = probability_of_improvement({"a": reference.tolist()}, {"a": other.tolist()})
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high
    higher = probability_of_improvement({"a": reference.tolist()}, {"a": other.tolist()}, lower=False)
    assert higher.value == pytest.approx(1 - expected)


def test_a_profile_falls_from_one_to_nought() -> None:
    runs = {task: np.random.default_rng(4).normal(size=8).tolist() for task in "ab"}
    found = performance_profile(runs, np.linspace(-9, 9, 30).tolist(), draws=50)
    values = [point.value for point in found]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (1, 0)
    assert all(point.low <= point.value <= point.high for point in found)


def test_improvements_are_positive_where_it_is_better() -> None:
    assert improvements({0: 10.0}, {0: 8.0, 1: 1.0}) == pytest.approx([20.0])
    assert improvements({0: 20.0}, {0: 25.0}, lower=False) == pytest.approx([25.0])
    with pytest.raises(DataError, match="values other than 0"):
        improvements({0: 0.0}, {0: 1.0})


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="none for a"):
        interquartile_mean({"a": []})
    with pytest.raises(DataError, match="the tasks of the reference"):
        probability_of_improvement({"a": [1.0]}, {"b": [1.0]})
    with pytest.raises(DataError, match="1 tasks"):
        critical_difference({"a": dict.fromkeys("xyz", 1.0)})
    with pytest.raises(DataError, match="other methods in b"):
        critical_difference({"a": dict.fromkeys("xyz", 1.0), "b": dict.fromkeys("xyw", 1.0)})
