"""ROUGE-1, ROUGE-2 and ROUGE-L through rouge-score, with tokenizers under which Chinese and Vietnamese are words.

rouge-score's own tokenizer drops every character that is not a-z or 0-9: Chinese scores 0, Vietnamese is mangled.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal, get_args

from labelemb.errors import ConfigError, DataError
from labelemb.metrics.bleu import check_pairs

Unit = Literal["character", "word"]
ROUGES = ("rouge1", "rouge2", "rougeL")


class UnitTokenizer:
    """Cut text into characters, white space left out, or into words between white space. Case stays.

    unit  "character", as is usual for Chinese, or "word"

    Raises ConfigError.
    """

    def __init__(self, unit: Unit) -> None:
        if unit not in get_args(Unit):
            raise ConfigError("unit", " or ".join(get_args(Unit)), repr(unit))
        self.unit = unit

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text."""
        words = text.split()
        return words if self.unit == "word" else [character for word in words for character in word]


def rouge(hypotheses: Sequence[str], references: Sequence[str], unit: Unit = "character") -> dict[str, float]:
    """Return "rouge1", "rouge2" and "rougeL": the mean F1 of the sentences, from 0 to 100.

    A sentence without an n-gram on one of its sides scores 0.

    Raises DataError for unequal numbers of sentences, for none, and without rouge-score; ConfigError for the unit.
    """
    check_pairs(hypotheses, references)
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise DataError("rouge", "rouge-score", "none installed", "pip install rouge-score") from None
    scorer = RougeScorer(list(ROUGES), tokenizer=UnitTokenizer(unit))
    sums = dict.fromkeys(ROUGES, 0.0)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        for name, score in scorer.score(reference, hypothesis).items():
            sums[name] += score.fmeasure
    return {name: 100 * total / len(references) for name, total in sums.items()}


def rouge_signature(unit: Unit = "character") -> str:
    """Say how the figures are made, in the manner of sacreBLEU's signatures."""
    return f"nrefs:1|case:mixed|tok:{unit}|stem:no|f:1|version:rouge-score-{version('rouge-score')}"
