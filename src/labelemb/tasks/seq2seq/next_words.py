"""The next words of hypotheses: their logits, and the best among them. B sentences, K hypotheses each, V words."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.tasks.seq2seq.decoding import Decoding
from labelemb.tasks.seq2seq.kernels import BLOCK, finish_logits
from labelemb.tasks.seq2seq.vocab import BOS, PAD
from labelemb.terms.reduction import upcast


class NextWords(NamedTuple):
    """Logits of the next word of each hypothesis.

    Attributes:
        logits: `(B, K, V)`; -inf for PAD and BOS, which are never generated, but count in the normalizer.
        maxima: Largest logit of each ``BLOCK`` consecutive words, `(B, K, blocks)`.
        normalizers: Log-sum-exp over words, `(B, K)`.
        attended: Position of the source token with the highest attention weight, int64 `(B, K)`.
    """

    logits: Tensor
    maxima: Tensor
    normalizers: Tensor
    attended: Tensor


def next_words(head: nn.Linear, decoding: Decoding, last: Tensor) -> NextWords:
    """Append tokens and compute the logits of the next ones.

    Args:
        head: Head of the model.
        decoding: Decoder state.
        last: Tokens to append, int64 `(B, K)`.
    """
    hidden, weights = decoding.step(last)
    logits = upcast(F.linear(hidden, head.weight))
    normalizers, maxima = finish_logits(logits.flatten(0, 1), head.bias)
    maxima = maxima.view(*last.shape, -1)
    logits[:, :, PAD] = logits[:, :, BOS] = -torch.inf
    maxima[:, :, 0] = logits[:, :, :BLOCK].amax(dim=2)
    return NextWords(logits, maxima, normalizers.view_as(last), weights.argmax(dim=2))


def most_likely(words: NextWords) -> tuple[Tensor, Tensor]:
    """Return the most likely next word of each hypothesis, the first one in case of a tie.

    Faster than ``logits.max(dim=2)`` on a CPU: only the words of the block with the largest maximum are compared.

    Returns:
        Log-probabilities `(B, K)` and words, int64 `(B, K)`.
    """
    block = words.maxima.argmax(dim=2, keepdim=True)  # (B, K, 1)
    candidates = block * BLOCK + torch.arange(BLOCK, device=block.device)
    candidates.clamp_(max=words.logits.shape[2] - 1)  # the last block may be shorter
    best, position = words.logits.gather(2, candidates).max(dim=2)
    return best - words.normalizers, candidates.gather(2, position[:, :, None])[:, :, 0]


def best_continuations(words: NextWords, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the continuations of each sentence's hypotheses with the largest scores.

    Equivalent to ``topk`` of ``scores + log_softmax(logits)`` over hypotheses and words, but that sum is not computed:
    the largest entries lie in the ``count`` blocks of words with the largest maxima.

    Args:
        words: Next words of each hypothesis.
        scores: Score of each hypothesis, `(B, K)`.
        count: Number of continuations; fewer are returned if K * V is smaller.

    Returns:
        Scores in descending order, hypothesis numbers and words, `(B, count)` each.
    """
    vocabulary, offsets = words.logits.shape[2], scores - words.normalizers
    maxima = words.maxima + offsets[:, :, None]  # (B, K, blocks)
    _, block = maxima.flatten(1).topk(min(count, maxima[0].numel()), dim=1)
    parent, first = block // maxima.shape[2], block % maxima.shape[2] * BLOCK  # (B, count)
    word = first[:, :, None] + torch.arange(BLOCK, device=block.device)  # (B, count, BLOCK)
    index = parent[:, :, None] * vocabulary + word.clamp(max=vocabulary - 1)
    logits = words.logits.flatten(1).gather(1, index.flatten(1)).view(index.shape)
    totals = logits + offsets.gather(1, parent)[:, :, None]
    totals = totals.masked_fill(word >= vocabulary, -torch.inf).flatten(1)  # the last block may be shorter
    best, position = totals.topk(min(count, words.logits[0].numel()), dim=1)
    entry = index.flatten(1).gather(1, position)
    return best, entry // vocabulary, entry % vocabulary
