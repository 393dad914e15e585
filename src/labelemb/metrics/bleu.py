"""BLEU and chrF through sacreBLEU, each figure with the signature that says how it was made.

Sentences are strings; tokenised ones have white space between their tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labelemb.errors import DataError

PAPER_TOKENS = 50


@dataclass(frozen=True)
class Score:
    """A figure from 0 to 100 and sacreBLEU's signature of it; ``sentences`` is how many it is over."""

    value: float
    signature: str
    sentences: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.signature})"


def bleu(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "none") -> Score:
    """Return the BLEU of a corpus, cased, every sentence in it.

    tokenize  as sacreBLEU names it: "none" for text that is tokenised already, "13a" for text that is not, "zh", "char"

    Raises DataError for unequal numbers of sentences, for none, and without sacreBLEU.
    """
    return _bleu(hypotheses, references, lowercase=False, smooth_method="exp", tokenize=tokenize)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score | None:
    """Return BLEU as the published program counts it: comparable with its figures and with nothing else.

    Lower-cased, tokenised as it comes, no smoothing, and without the pairs whose source or reference has more than 50
    tokens: 114 of the 1,268 of tst2013. ``bleu`` is the honest figure. None when every pair is longer.

    Raises DataError as ``bleu`` does.
    """
    check_pairs(hypotheses, references)
    check_pairs(sources, references)
    short = [
        number
        for number, pair in enumerate(zip(sources, references, strict=True))
        if all(len(sentence.split()) <= PAPER_TOKENS for sentence in pair)
    ]
    if not short:
        return None
    kept = [[sentences[number] for number in short] for sentences in (hypotheses, references)]
    score = _bleu(kept[0], kept[1], lowercase=True, smooth_method="none", tokenize="none")
    return Score(score.value, f"{score.signature}|len:<={PAPER_TOKENS}", score.sentences)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Return chrF2 of a corpus: character n-grams up to 6, white space left out. Raises DataError as ``bleu`` does."""
    check_pairs(hypotheses, references)
    metric = _sacrebleu().CHRF()
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, metric.get_signature().format(), len(references))


def _bleu(
    hypotheses: Sequence[str], references: Sequence[str], lowercase: bool, smooth_method: str, tokenize: str
) -> Score:
    check_pairs(hypotheses, references)
    metrics = _sacrebleu()
    known = sorted(metrics.BLEU.TOKENIZERS)
    if tokenize not in known:
        raise DataError("tokenize", f"one of {', '.join(known)}", repr(tokenize))
    # force: no warning about tokenised text, which "none" says it is
    metric = metrics.BLEU(lowercase=lowercase, smooth_method=smooth_method, tokenize=tokenize, force=True)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, metric.get_signature().format(), len(references))


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Refuse unequal numbers of sentences, and none. Raises DataError."""
    if not references or len(hypotheses) != len(references):
        raise DataError(
            "hypotheses", f"as many sentences as references ({len(references)}, at least 1)", len(hypotheses)
        )


def _sacrebleu() -> Any:
    """Import it when a figure is asked for: training images needs none."""
    try:
        from sacrebleu import metrics
    except ImportError:
        raise DataError("bleu", "sacreBLEU", "none installed", "pip install sacrebleu") from None
    return metrics
