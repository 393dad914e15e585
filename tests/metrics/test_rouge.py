import math

import pytest

from labelemb.errors import ConfigError, DataError
from labelemb.metrics.likelihood import mean_nll, perplexity
from labelemb.metrics.rouge import UnitTokenizer, rouge, rouge_signature


def f1(precision: float, recall: float) -> float:
    return 100 * 2 * precision * recall / (precision + recall)


def test_chinese_counted_by_hand() -> None:
    # 研究 in both, 方法 in both; pairs 研究 and 方法 match, 究方 does not occur in the reference
    scores = rouge(["研究方法"], ["研究的新方法"])
    assert scores["rouge1"] == pytest.approx(f1(4 / 4, 4 / 6))
    assert scores["rouge2"] == pytest.approx(f1(2 / 3, 2 / 5))
    assert scores["rougeL"] == pytest.approx(f1(4 / 4, 4 / 6))
    # the same characters in another order: unigrams all match, one pair, the longest common subsequence is 2
    scores = rouge(["方法研究"], ["研究方法"])
    assert scores["rouge1"] == pytest.approx(100)
    assert scores["rouge2"] == pytest.approx(f1(2 / 3, 2 / 3))
    assert scores["rougeL"] == pytest.approx(f1(2 / 4, 2 / 4))


def test_repeated_characters_count_as_often_as_in_the_reference() -> None:
    assert rouge(["好好好"], ["好人"])["rouge1"] == pytest.approx(f1(1 / 3, 1 / 2))


def test_a_mean_over_sentences() -> None:
    scores = rouge(["甲乙", "丙"], ["甲乙", "丁"])
    assert scores == {"rouge1": pytest.approx(50), "rouge2": pytest.approx(50), "rougeL": pytest.approx(50)}


def test_degenerate_sentences_score_zero() -> None:
    assert rouge([""], ["甲"]) == {"rouge1": 0, "rouge2": 0, "rougeL": 0}
    assert rouge(["甲"], ["甲"])["rouge2"] == 0, "a single character has no pair"


def test_vietnamese_words_are_whole() -> None:
    scores = rouge(["con mèo đen"], ["con mèo trắng"], unit="word")
    assert scores["rouge1"] == pytest.approx(f1(2 / 3, 2 / 3))
    assert UnitTokenizer("character").tokenize("A  mèo\n") == ["A", "m", "è", "o"]


def test_mistakes_and_the_signature() -> None:
    with pytest.raises(DataError, match="hypotheses: expected as many sentences as references"):
        rouge(["a"], [])
    with pytest.raises(ConfigError, match="unit: expected character or word, got 'byte'"):
        rouge(["a"], ["a"], unit="byte")  # type: ignore[arg-type]
    assert rouge_signature().startswith("nrefs:1|case:mixed|tok:character|stem:no|f:1|version:rouge-score-")


def test_likelihood() -> None:
    assert perplexity(mean_nll(3 * math.log(8), 3)) == pytest.approx(8), "a uniform guess among eight"
    assert perplexity(1e4) == math.inf
    with pytest.raises(DataError, match="count: expected at least one token, got 0"):
        mean_nll(0.0, 0)
