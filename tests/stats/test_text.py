"""Corpus comparisons against sacreBLEU's own scores and paired tests."""

import numpy as np
import pytest

from labelemb.errors import DataError, ShapeError
from labelemb.metrics.bleu import bleu_score, bleu_statistics
from labelemb.stats.text import (
    compare_corpora,
    corpus_interval,
    mean_score,
    mean_statistics,
)

sacrebleu = pytest.importorskip("sacrebleu")
WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "house", "red", "old", "small", "big"]


def corpus(random: np.random.Generator, sentences: int) -> list[str]:
    return [" ".join(random.choice(WORDS, random.integers(4, 12))) for _ in range(sentences)]


def changed(random: np.random.Generator, lines: list[str], share: float) -> list[str]:
    """Replace a share of the words."""
    return [
        " ".join(str(random.choice(WORDS)) if random.random() < share else word for word in line.split())
        for line in lines
    ]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_the_score_of_the_sums_is_sacrebleus(share: float) -> None:
    random = np.random.default_rng(0)
    references = corpus(random, 12)
    hypotheses = changed(random, references, share)
    found = bleu_score(bleu_statistics(hypotheses, references).sum(axis=0))
    assert found == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none").score)


@pytest.mark.parametrize(("hypothesis", "reference"), [("x y", "a b c d e"), ("a", "a b c d e f"), ("", "a b c d")])
def test_short_and_wrong_output(hypothesis: str, reference: str) -> None:
    expected = sacrebleu.corpus_bleu([hypothesis], [[reference]], tokenize="none").score
    assert bleu_score(bleu_statistics([hypothesis], [reference])[0]) == pytest.approx(expected)


def test_p_values_are_sacrebleus() -> None:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    random = np.random.default_rng(1)
    references = corpus(random, 80)
    systems = [changed(random, references, share) for share in (0.3, 0.26)]
    found = compare_corpora(*(bleu_statistics(one, references)[None] for one in systems), bleu_score, draws=2000)
    named = [("Baseline: one", systems[0]), ("other", systems[1])]
    for kind, p in (("bs", found.p_bootstrap / 2), ("ar", found.p_randomization)):  # its bootstrap is one-sided
        metric = {"BLEU": BLEU(tokenize="none", force=True)}
        results = PairedTest(named, metric, [references], test_type=kind, n_samples=2000)()[1]["BLEU"]
        assert found.difference == pytest.approx(results[1].score - results[0].score)
        assert p == pytest.approx(results[1].p_value, abs=0.05)


def test_alike_systems_are_rarely_told_apart() -> None:
    random = np.random.default_rng(2)
    found = [
        compare_corpora(*(mean_statistics(random.random(40))[None] for _ in range(2)), mean_score, draws=200)
        for _ in range(200)
    ]
    room = 2.5 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean([one.p_randomization < 0.05 for one in found]) <= 0.05 + room
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.95 - room - 0.02  # percentile, 40 sentences


def test_drawing_the_seeds_too_widens_the_interval() -> None:
    random = np.random.default_rng(3)
    seeds = [random.random(100) + random.normal(0, 0.3) for _ in range(12)]
    reference = np.stack([mean_statistics(values) for values in seeds[:6]])
    other = np.stack([mean_statistics(values) for values in seeds[6:]])
    alone, both = (compare_corpora(reference, other, mean_score, over_seeds=drawn) for drawn in (False, True))
    assert both.high - both.low > 1.5 * (alone.high - alone.low)


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="as many sentences"):
        bleu_statistics(["a"], [])
    with pytest.raises(ShapeError):
        compare_corpora(np.zeros((1, 3, 2)), np.zeros((1, 4, 2)), mean_score)


def test_an_interval_over_seeds_and_sentences_of_bleu_agrees_with_the_bootstrap_and_with_the_score() -> None:
    random = np.random.default_rng(4)
    references = corpus(random, 60)
    reference, other = (
        np.stack([bleu_statistics(changed(random, references, share), references) for _ in range(4)])
        for share in (0.4, 0.3)
    )
    found = corpus_interval(reference, other, bleu_score)
    resampled = compare_corpora(reference, other, bleu_score, over_seeds=True)
    assert found.mean == pytest.approx(resampled.difference)
    assert found.high - found.low == pytest.approx(resampled.high - resampled.low, rel=0.35)


def test_the_interval_over_seeds_and_sentences_holds_for_three_seeds_that_differ_more_than_the_sentences() -> None:
    random = np.random.default_rng(5)
    found = []
    for _ in range(300):
        seeds = random.normal(0, 0.3, (6, 1)) + random.normal(0, 1, (6, 40)) + random.normal(0, 0.5, 40)
        statistics = np.stack([mean_statistics(values) for values in seeds])
        found.append(corpus_interval(statistics[:3], statistics[3:], mean_score))
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.92
