"""BLEU and chrF with sacreBLEU, each with the signature that makes it reproducible.

Source: Papineni et al. 2002; Popović 2015; Post 2018, https://arxiv.org/abs/1804.08771.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labelemb.errors import DataError

PAPER_TOKENS = 50


@dataclass(frozen=True)
class Score:
    """A score with its provenance.

    Attributes:
        value: From 0 to 100.
        signature: Signature of sacreBLEU.
        sentences: Number of sentences.
    """

    value: float
    signature: str
    sentences: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.signature})"


def bleu(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "none") -> Score:
    """Return cased corpus BLEU of all sentences.

    Args:
        hypotheses: Outputs of the model.
        references: References in the same order.
        tokenize: Tokenizer of sacreBLEU: ``"none"`` for tokenised text, ``"13a"`` for plain text, ``"zh"``, ``"char"``.

    Raises:
        DataError: The numbers of sentences differ, there are none, or sacreBLEU is not installed.
    """
    return _bleu(hypotheses, references, lowercase=False, smooth_method="exp", tokenize=tokenize)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score | None:
    """Return BLEU as the published program computes it, for comparison with published numbers only.

    Lower-cased, without smoothing, and without pairs whose source or reference has more than 50 tokens (114 of the
    1,268 pairs of tst2013). Use ``bleu`` for everything else.

    Args:
        hypotheses: Outputs of the model, tokenised.
        references: References in the same order.
        sources: Source sentences in the same order.

    Returns:
        None when every pair is longer.

    Raises:
        DataError: As ``bleu``.
    """
    check_pairs(hypotheses, references)
    check_pairs(sources, references)
    short = [
        index
        for index, pair in enumerate(zip(sources, references, strict=True))
        if all(len(sentence.split()) <= PAPER_TOKENS for sentence in pair)
    ]
    if not short:
        return None
    kept = [[sentences[index] for index in short] for sentences in (hypotheses, references)]
    score = _bleu(kept[0], kept[1], lowercase=True, smooth_method="none", tokenize="none")
    return Score(score.value, f"{score.signature}|len:<={PAPER_TOKENS}", score.sentences)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Return corpus chrF2: character n-grams up to 6, without white space. Raises DataError as ``bleu`` does."""
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
    # force: do not warn about tokenised text
    metric = metrics.BLEU(lowercase=lowercase, smooth_method=smooth_method, tokenize=tokenize, force=True)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, metric.get_signature().format(), len(references))


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise DataError for unequal numbers of sentences, and for none."""
    if not references or len(hypotheses) != len(references):
        raise DataError(
            "hypotheses", f"as many sentences as references ({len(references)}, at least 1)", len(hypotheses)
        )


def _sacrebleu() -> Any:
    """Import sacreBLEU on use: it is an optional dependency."""
    try:
        from sacrebleu import metrics
    except ImportError:
        raise DataError("bleu", "sacreBLEU", "none installed", "pip install sacrebleu") from None
    return metrics
