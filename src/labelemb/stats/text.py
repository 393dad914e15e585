"""Paired bootstrap and approximate randomization of corpus scores such as BLEU and ROUGE.

N sentences, S seeds, K statistics per sentence whose sums over the corpus give the score. Sources: Koehn 2004,
"Statistical significance tests for machine translation evaluation"; Riezler and Maxwell 2005. Both p-values are
two-sided; ``sacrebleu --paired-ar`` gives the same, ``sacrebleu --paired-bs`` counts one side and gives about half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import ShapeError
from labelemb.metrics.bleu import bleu_score
from labelemb.stats.bootstrap import item_weights, percentile_interval, seed_weights
from labelemb.stats.crossed import CrossedInterval, crossed_interval

Statistics = NDArray[np.float64]
CorpusScore = Callable[[Statistics], NDArray[np.float64]]  # (..., K) sums -> (...) scores
DRAWS = 1000


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
        p_randomization: Two-sided p-value of approximate randomization: the outputs of a sentence are swapped.
    """

    reference: float
    other: float
    difference: float
    low: float
    high: float
    p_bootstrap: float
    p_randomization: float


def mean_statistics(scores: Sequence[float] | NDArray[Any]) -> Statistics:
    """Return (N, 2) statistics of a score that is the mean over sentences, as ROUGE is; for ``mean_score``."""
    values = np.asarray(scores, np.float64)
    return np.stack([values, np.ones_like(values)], axis=1)


def mean_score(sums: Statistics) -> NDArray[np.float64]:
    """Return the mean over sentences of summed ``mean_statistics``: (..., 2) -> (...)."""
    quotient: NDArray[np.float64] = sums[..., 0] / sums[..., 1]
    return quotient


def sentence_statistics(by_sentence: NDArray[Any]) -> Statistics:
    """Return the statistics of sentences as a run has them: (N, K) counts as they are, (N,) scores as (N, 2)."""
    return mean_statistics(by_sentence) if by_sentence.ndim == 1 else by_sentence.astype(np.float64)


def score_of(statistics: Statistics) -> CorpusScore:
    """Return the corpus score that statistics (..., K) are for: the mean over sentences for K = 2, else BLEU."""
    return mean_score if statistics.shape[-1] == 2 else bleu_score


def corpus_interval(reference: Statistics, other: Statistics, score: CorpusScore) -> CrossedInterval:
    """Return other - reference with its interval over seeds and sentences at once: it is about the methods.

    A corpus score is a function f of the sums over the sentences. To first order a sentence with statistics x adds
    grad f(sums) x to it, so that N grad f(sums) x, shifted to the score as their mean, are values of single sentences
    ("infinitesimal jackknife", Efron 1982). Their interval is that of ``crossed_interval``, which holds for few seeds.

    Args:
        reference: (S, N, K) statistics of the reference.
        other: (S, N, K) statistics of the other method, seeds and sentences in the same order.
        score: Corpus score of summed statistics.

    Raises:
        ShapeError: For unequal shapes, or fewer than two seeds or sentences.

    Example:
        >>> random = np.random.default_rng(0)
        >>> worse = np.stack([mean_statistics(random.random(50)) for _ in range(4)])
        >>> found = corpus_interval(worse, worse + [0.1, 0], mean_score)
        >>> round(found.mean, 3), round(found.high - found.low, 3)
        (0.1, 0.0)
    """
    return crossed_interval(_sentence_values(other, score), _sentence_values(reference, score), scale=1.0)


def _sentence_values(statistics: Statistics, score: CorpusScore) -> NDArray[np.float64]:
    """Return (S, N) values whose mean over N is the score of each seed and whose spread is that of its sentences."""
    sums = statistics.sum(axis=1, keepdims=True)  # (S, 1, K)
    step = 1e-4 * np.maximum(sums, 1.0)
    moves = np.eye(sums.shape[-1]) * step  # (S, K, K)
    gradient = (score(sums + moves) - score(sums - moves)) / (2 * step[:, 0])  # (S, K)
    parts = statistics.shape[1] * np.einsum("snk,sk->sn", statistics, gradient)
    values: NDArray[np.float64] = parts - parts.mean(axis=1, keepdims=True) + score(sums)
    return values


def compare_corpora(
    reference: Statistics, other: Statistics, score: CorpusScore, draws: int = DRAWS, over_seeds: bool = False
) -> CorpusComparison:
    """Compare two methods on the same sentences.

    Args:
        reference: (S, N, K) statistics of the reference; S = 1 for a single pair of networks.
        other: (S, N, K) statistics of the other method.
        score: Corpus score of summed statistics; the score of a method is its mean over the seeds.
        draws: Number of resamples, and of random swaps.
        over_seeds: Whether the bootstrap draws seeds, too: then the interval is about the methods and not only
            about these networks.

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
