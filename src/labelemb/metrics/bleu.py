"""BLEU and chrF with sacreBLEU, each with the signature that makes it reproducible.

Source: Papineni et al. 2002; Popović 2015; Post 2018, https://arxiv.org/abs/1804.08771.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError

PAPER_TOKENS = 50
_ORDER = 4  # of the longest n-gram of BLEU


@dataclass(frozen=True)
class Score:
    """A score with its provenance.

    Attributes:
        value: From 0 to 100.
        signature: Signature of sacreBLEU.
        sentences: Number of sentences.
        by_sentence: Statistics of each sentence, for paired tests: (N,) scores whose mean is the value, or (N, 10)
            ``bleu_statistics``; None where there are none.
    """

    value: float
    signature: str
    sentences: int
    by_sentence: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """Return what is written into a JSON file: all but the statistics of the sentences."""
        return {"value": self.value, "signature": self.signature, "sentences": self.sentences}

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.signature})"


def bleu(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "none") -> Score:
    """Return cased corpus BLEU of all sentences.

    Args:
        hypotheses: Outputs of the model.
        references: References in the same order.
        tokenize: Tokenizer of sacreBLEU: ``"none"`` for tokenized text, ``"13a"`` for plain text, ``"zh"``, ``"char"``.

    Raises:
        DataError: The numbers of sentences differ, there are none, or sacreBLEU is not installed.
    """
    score = _bleu(hypotheses, references, lowercase=False, smooth_method="exp", tokenize=tokenize)
    return replace(score, by_sentence=bleu_statistics(hypotheses, references, tokenize))


def bleu_statistics(
    hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "none"
) -> NDArray[np.float64]:
    """Return (N, 10) per sentence: hypothesis length, reference length, 4 n-gram matches, 4 n-gram totals.

    Args:
        hypotheses: N sentences.
        references: N sentences.
        tokenize: Tokenizer as sacreBLEU names it.

    Raises:
        DataError: As ``bleu``.
    """
    check_pairs(hypotheses, references)
    metric = _sacrebleu().BLEU(tokenize=tokenize, force=True)
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = metric.corpus_score([hypothesis], [[reference]])
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(rows, np.float64)


def bleu_score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return corpus BLEU, 0 to 100, of summed statistics: 100 BP exp(mean log precision).

    Precisions without a match are smoothed as by default in sacreBLEU ("exp": the k-th of them is 1 / (2^k total)). The
    score is 0 without any match, and where the outputs are too short for an n-gram order. Source: Papineni et al. 2002.

    Args:
        sums: (..., 10), summed ``bleu_statistics``.

    Returns:
        (...), scores.
    """
    length, expected = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + _ORDER], sums[..., 2 + _ORDER :]
    smoothing = 2.0 ** np.cumsum((matches == 0) & (totals > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(matches > 0, matches, 1 / smoothing) / totals
        brevity = np.where(length < expected, np.exp(1 - expected / length), 1.0)
        logs = np.where(totals > 0, np.log(precisions), -np.inf)
    some = np.any(matches > 0, axis=-1) & (length > 0)
    return np.where(some, 100 * np.nan_to_num(brevity) * np.exp(logs.mean(axis=-1)), 0.0)


def paper_bleu(hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Score | None:
    """Return BLEU as the published program computes it, for comparison with published numbers only.

    Lower-cased, without smoothing, and without pairs whose source or reference has more than 50 tokens (114 of the
    1,268 pairs of tst2013). Use ``bleu`` for everything else.

    Args:
        hypotheses: Outputs of the model, tokenized.
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
    # force: do not warn about tokenized text
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
