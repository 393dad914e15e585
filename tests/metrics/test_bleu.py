import math

import pytest

from labelemb.errors import DataError
from labelemb.metrics.bleu import bleu, chrf, paper_bleu

REFERENCE = "the cat sat on the mat"


def test_a_case_counted_by_hand() -> None:
    hypothesis = "the cat sat on a mat"
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; as long as the reference
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu([hypothesis], [REFERENCE]).value == pytest.approx(expected)
    # one word less: 4 of 5, 3 of 4, 2 of 3, 1 of 2, and the penalty for brevity
    shorter = 100 * math.exp(1 - 6 / 5) * (5 / 5 * 4 / 4 * 3 / 3 * 2 / 2) ** 0.25
    assert bleu(["the cat sat on the"], [REFERENCE]).value == pytest.approx(shorter)
    assert bleu([REFERENCE], [REFERENCE]).value == pytest.approx(100)


def test_counts_are_added_before_they_are_divided() -> None:
    pairs = [("a b c d e", "a b c d e"), ("x y z u v", "p q r s t")]
    hypotheses, references = zip(*pairs, strict=True)
    assert bleu(hypotheses, references).value == pytest.approx(50)


def test_case_counts_and_the_signature_says_so() -> None:
    score = bleu(["The Cat sat on the mat"], [REFERENCE])
    assert score.value < 60
    assert "case:mixed" in score.signature
    assert "tok:none" in score.signature
    assert "version:" in score.signature
    assert score.signature in str(score)


def test_the_papers_bleu_is_lower_cased_short_and_named_so() -> None:
    long = "w " * 51
    hypotheses = ["The Cat sat on the mat", "wrong", "wrong"]
    score = paper_bleu(hypotheses, [REFERENCE, long, "short"], ["the source", "short", long])
    assert score is not None
    assert score.value == pytest.approx(100)
    assert score.sentences == 1
    assert "case:lc" in score.signature
    assert score.signature.endswith("|len:<=50")
    assert bleu(hypotheses, [REFERENCE, long, "short"]).sentences == 3
    edge = "w " * 50
    assert paper_bleu([edge], [edge], [edge]).sentences == 1  # type: ignore[union-attr]
    nothing = paper_bleu(["a b c"], ["a b c d"], ["x"])
    assert nothing is not None
    assert nothing.value == 0, "no quadruple and no smoothing"
    assert paper_bleu(["a"], [long], ["a"]) is None, "a text of long sentences has no such figure"


def test_chrf() -> None:
    assert chrf([REFERENCE], [REFERENCE]).value == pytest.approx(100)
    assert chrf(["con mèo"], ["con chó"]).value == pytest.approx(chrf(["conmèo"], ["conchó"]).value)
    assert "nc:6|nw:0|space:no" in chrf(["a"], ["a"]).signature


def test_mistakes() -> None:
    with pytest.raises(
        DataError, match=r"hypotheses: expected as many sentences as references \(1, at least 1\), got 2"
    ):
        bleu(["a", "b"], ["a"])
    with pytest.raises(DataError, match="at least 1"):
        chrf([], [])
    with pytest.raises(DataError, match="tokenize: expected one of 13a, "):
        bleu(["a"], ["a"], tokenize="moses")
