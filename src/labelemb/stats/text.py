"""Paired bootstrap and approximate randomisation of corpus scores such as BLEU and ROUGE.

N sentences, S seeds, K statistics per sentence whose sums over the corpus give the score. Sources: Koehn 2004,
"Statistical significance tests for machine translation evaluation"; Riezler and Maxwell 2005. Both p-values are
two-sided; ``sacrebleu --paired-ar`` gives the same, ``sacrebleu --paired-bs`` counts one side and gives about half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError, ShapeError
from labelemb.stats.bootstrap import item_weights, percentile_interval, seed_weights

Statistics = NDArray[np.float64]
CorpusScore = Callable[[Statistics], NDArray[np.float64]]  # (..., K) sums -> (...) scores
DRAWS = 1000
_ORDER = 4  # of the longest n-gram of BLEU


@dataclass(frozen=True)
class CorpusComparison:
    """Difference of two corpus scores, other - reference: positive where the other method scores higher.

    Attributes:
        reference: Score of the reference, mean over the seeds.
        other: Score of the other method.
        difference: other - reference.
        low: Lower end of the 95 % percentile interval of the paired bootstrap over sentences.
        high: Upper end.
        p_bootstrap: Two-sided p-value of the paired bootstrap.
        p_randomisation: Two-sided p-value of approximate randomisation: the outputs of a sentence are swapped.
    """

    reference: float
    other: float
    difference: float
    low: float
    high: float
    p_bootstrap: float
    p_randomisation: float


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "none") -> Statistics:
    """Return (N, 10) per sentence: hypothesis length, reference length, 4 n-gram matches, 4 n-gram totals.

    Args:
        hypotheses: N sentences.
        references: N sentences.
        tokenize: Tokenizer as sacreBLEU names it.

    Raises:
        DataError: For unequal numbers of sentences, and without sacreBLEU.
    """
    _check(hypotheses, references)
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise DataError("bleu", "sacreBLEU", "none installed", "pip install sacrebleu") from None
    metric = BLEU(tokenize=tokenize, force=True)
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = metric.corpus_score([hypothesis], [[reference]])
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(rows, np.float64)


def bleu_score(sums: Statistics) -> NDArray[np.float64]:
    """Return corpus BLEU, 0 to 100, of summed statistics: 100 BP exp(mean log precision).

    Precisions without a match are smoothed as sacreBLEU's default does ("exp": 1 / (2^k total), k counting them); an
    n-gram order without candidates ends the product. Source: Papineni et al. 2002.

    Args:
        sums: (..., 10), summed ``bleu_statistics``.
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


def mean_statistics(scores: Sequence[float]) -> Statistics:
    """Return (N, 2) statistics of a score that is the mean over sentences, as ROUGE is; for ``mean_score``."""
    values = np.asarray(scores, np.float64)
    return np.stack([values, np.ones_like(values)], axis=1)


def mean_score(sums: Statistics) -> NDArray[np.float64]:
    """Return the mean over sentences of summed ``mean_statistics``: (..., 2) -> (...)."""
    quotient: NDArray[np.float64] = sums[..., 0] / sums[..., 1]
    return quotient


def compare_corpora(
    reference: Statistics, other: Statistics, score: CorpusScore, draws: int = DRAWS, over_seeds: bool = False
) -> CorpusComparison:
    """Compare two methods on the same sentences.

    Args:
        reference: (S, N, K) statistics of the reference; S = 1 for a single pair of networks.
        other: (S, N, K) statistics of the other method.
        score: Corpus score of summed statistics; the score of a method is its mean over the seeds.
        draws: Number of resamples, and of random swaps.
        over_seeds: Whether the bootstrap draws seeds, too: then the interval speaks of the methods and not only of
            these networks.

    Raises:
        ShapeError: For unequal shapes.

    Example:
        >>> worse, better = mean_statistics([1, 2, 3, 4]), mean_statistics([2, 3, 4, 5])
        >>> compare_corpora(worse[None], better[None], mean_score).difference
        1.0
    """
    if reference.ndim != 3 or reference.shape != other.shape:
        raise ShapeError("other", f"seeds, sentences and statistics as the reference {reference.shape}", other.shape)
    random = np.random.default_rng(0)
    seeds, sentences, _ = reference.shape
    both = np.stack([reference, other])  # (2, S, N, K)
    observed = score(both.sum(axis=2)).mean(axis=1)
    difference = float(observed[1] - observed[0])

    weights = item_weights(sentences, draws, random) * sentences
    resampled = score(np.einsum("bn,tsnk->btsk", weights, both, optimize=True))
    seed_shares = seed_weights(seeds, draws, random) if over_seeds and seeds > 1 else np.full((draws, seeds), 1 / seeds)
    drawn = np.einsum("btsk,bs->bt", resampled[..., None], seed_shares)
    drawn_differences = drawn[:, 1] - drawn[:, 0]
    low, high = percentile_interval(drawn_differences)

    swaps = random.integers(0, 2, (draws, sentences)).astype(np.float64)
    moved = np.einsum("bn,snk->bsk", swaps, other - reference, optimize=True)
    sums = both.sum(axis=2)
    swapped = score(sums[1] - moved).mean(axis=1) - score(sums[0] + moved).mean(axis=1)
    return CorpusComparison(
        float(observed[0]),
        float(observed[1]),
        difference,
        low,
        high,
        _share_as_far(drawn_differences - drawn_differences.mean(), difference),
        _share_as_far(swapped, difference),
    )


def _share_as_far(draws: NDArray[np.float64], observed: float) -> float:
    """Return (1 + number of draws at least as far from 0 as observed) / (1 + draws)."""
    return (1 + int(np.sum(np.abs(draws) >= abs(observed) - 1e-9))) / (1 + len(draws))


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if not references or len(hypotheses) != len(references):
        raise DataError(
            "hypotheses", f"as many sentences as references ({len(references)}, at least 1)", len(hypotheses)
        )
