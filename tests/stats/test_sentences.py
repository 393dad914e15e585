"""Sentences say what the numbers say."""

import numpy as np
import pytest

from labelemb.stats.pairs import Pair, compare_pairs
from labelemb.stats.ranks import critical_difference
from labelemb.stats.sentences import (
    before_training,
    conclusion_sentence,
    improvement_sentence,
    more_seeds,
    power_sentence,
    ranks_sentence,
)
from labelemb.stats.several import Estimate


def compared(mean: float, sd: float, n: int, margin: float | None = None) -> Pair:
    random = np.random.default_rng(0).normal(size=n)
    values = mean + sd * (random - random.mean()) / random.std(ddof=1) if n > 1 else np.array([mean])
    rows = {"a": dict.fromkeys(range(n), 5.0), "b": dict(enumerate((5.0 - values).tolist()))}
    return compare_pairs([("a", "b")], rows, margin)[0]


def said(pair: Pair, margin: float | None = None) -> str:
    return conclusion_sentence(pair.conclusion, pair.difference, pair.equivalence, margin)


def test_each_conclusion_has_its_sentence() -> None:
    assert said(compared(1.5, 0.3, 10)).startswith("better by 1.5 (1.29 to 1.71) points")
    assert said(compared(-1.5, 0.3, 10)).startswith("worse by 1.5 (1.29 to 1.71) points")
    assert said(compared(0.01, 0.1, 10, 0.2), 0.2).startswith("alike within 0.2 points (90 % interval -0.05 to 0.07)")
    assert said(compared(0.1, 0.05, 12, 0.2), 0.2).endswith("points, but alike within 0.2 points")


def test_so_many_more_seeds_do_decide() -> None:
    pair = compared(0.15, 0.3, 8)
    sentence = said(pair)
    assert sentence.startswith("not decided: ")
    more = int(sentence.split()[2])
    random = np.random.default_rng(1)
    decided = [
        compare_pairs(
            [("a", "b")],
            {
                "a": dict.fromkeys(range(8 + more), 0.0),
                "b": dict(enumerate(random.normal(0.15, 0.3, 8 + more).tolist())),
            },
        )[0].conclusion
        for _ in range(60)
    ]
    assert np.mean([one != "undecided" for one in decided]) == pytest.approx(0.8, abs=0.15)


def test_a_margin_can_shorten_the_way() -> None:
    pair = compared(0.02, 0.4, 8)
    without, within = more_seeds(pair.difference), more_seeds(pair.difference, 0.3)
    assert without == "even 1000 seeds would hardly decide"
    assert within.endswith("more seeds would probably decide")


def test_few_seeds() -> None:
    assert said(compared(1.0, 0.0, 1)) == "not decided: 1 seed; nothing can be shown with fewer than 6"
    assert "too few seeds" in power_sentence(compared(1.0, 0.0, 1).difference)
    assert before_training(5).startswith("5 seeds cannot show any difference")
    assert before_training(6) == "6 seeds: enough for a test (6 or more)"


def test_several_tasks() -> None:
    worse = improvement_sentence("x", Estimate(-4.0, -6.0, -2.0), Estimate(0.1, 0.0, 0.2), 3)
    assert worse.startswith("x: 4 % worse (2 to 6, ")
    values = {str(task): {"a": 1.0, "b": 2.0, "c": 3.0} for task in range(9)}
    assert ranks_sentence(critical_difference(values)) == (
        "over 9 tasks a ranks before c (critical difference 1.1 ranks)"
    )
    level = {task: dict.fromkeys("abc", 1.0) for task in "xy"}
    assert "no two methods can be told apart" in ranks_sentence(critical_difference(level))
