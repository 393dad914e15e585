"""ROUGE-1, ROUGE-2 and ROUGE-L with rouge-score, by characters or by words.

The default tokenizer of rouge-score drops every character except a-z and 0-9: Chinese text always scores 0.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import ConfigError, DataError
from labelemb.metrics.bleu import check_pairs

Unit = Literal["character", "word"]
ROUGES = ("rouge1", "rouge2", "rougeL")


class UnitTokenizer:
    """Tokenizer for rouge-score that keeps case.

    Args:
        unit: ``"character"`` for single characters without white space, usual for Chinese; ``"word"`` for words between
            white space.

    Raises:
        ConfigError: Unknown unit.
    """

    def __init__(self, unit: Unit) -> None:
        if unit not in get_args(Unit):
            raise ConfigError("unit", " or ".join(get_args(Unit)), repr(unit))
        self.unit = unit

    def tokenize(self, text: str) -> list[str]:
        """Split a text into tokens."""
        words = text.split()
        return words if self.unit == "word" else [character for word in words for character in word]


def rouge(hypotheses: Sequence[str], references: Sequence[str], unit: Unit = "character") -> dict[str, float]:
    """Return ``rouge1``, ``rouge2`` and ``rougeL``: mean F1 of the sentences, from 0 to 100.

    A sentence without an n-gram on either side scores 0. Source: Lin 2004, https://aclanthology.org/W04-1013.

    Args:
        hypotheses: Outputs of the model.
        references: References in the same order.
        unit: Unit of the n-grams, see ``UnitTokenizer``.

    Raises:
        DataError: The numbers of sentences differ, there are none, or rouge-score is not installed.
        ConfigError: Unknown unit.
    """
    by_sentence = rouge_by_sentence(hypotheses, references, unit)
    return {name: float(scores.mean()) for name, scores in by_sentence.items()}


def rouge_by_sentence(
    hypotheses: Sequence[str], references: Sequence[str], unit: Unit = "character"
) -> dict[str, NDArray[np.float64]]:
    """Return the F1 of each sentence, (N,), for each score of ``rouge``; arguments and errors as there."""
    check_pairs(hypotheses, references)
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise DataError("rouge", "rouge-score", "none installed", "pip install rouge-score") from None
    scorer = RougeScorer(list(ROUGES), tokenizer=UnitTokenizer(unit))
    scores = [scorer.score(reference, hypothesis) for hypothesis, reference in zip(hypotheses, references, strict=True)]
    return {name: np.array([100 * score[name].fmeasure for score in scores]) for name in ROUGES}


def rouge_signature(unit: Unit = "character") -> str:
    """Return how the scores are computed, in the style of sacreBLEU's signatures."""
    return f"nrefs:1|case:mixed|tok:{unit}|stem:no|f:1|version:rouge-score-{version('rouge-score')}"
