"""The embedded text encoder: a bag of hashed word and character n-grams, trained from scratch."""

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BUCKETS = 2**15
CHARACTER_NGRAMS = (3, 4)
TOKEN = re.compile(r"\w+|[^\w\s]")
VERSION = "ngrams-1"  # identifies the features in the cache of encoded texts


def ngram_ids(text: str) -> list[int]:
    """Return the features of a text: hashed words, word bigrams, and character n-grams within words.

    Returns:
        Numbers from 1 to ``BUCKETS`` - 1; 0 is padding. A text always has at least one feature.
    """
    words = [f"<{word}>" for word in TOKEN.findall(text.lower())] or ["<>"]
    features = [*words, *(f"{one} {other}" for one, other in pairwise(words))]
    for word in words:
        for size in CHARACTER_NGRAMS:
            features += [word[start : start + size] for start in range(len(word) - size + 1) if size < len(word)]
    return [1 + zlib.crc32(feature.encode()) % (BUCKETS - 1) for feature in features]


class NgramTokenizer:
    """Turns texts into features; see ``ngram_ids``."""

    pad_id = 0
    identity = VERSION

    def encode(self, texts: Sequence[str], max_length: int) -> tuple[list[list[int]], int]:
        """Return the features of each text and the number of texts that were truncated: none, all features count."""
        del max_length
        return [ngram_ids(text) for text in texts], 0


class NgramEncoder(nn.Module):
    """Mean of n-gram embeddings, then one hidden layer (after fastText, arXiv 1607.01759).

    Args:
        size: Size of the embeddings and of the hidden state, D.
        dropout: Dropout probability of the mean.
    """

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size = size
        self.embedding = nn.Embedding(BUCKETS, size, padding_idx=0)
        self.hidden = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden state ``(N, D)`` of padded features ``(N, T)``; mask is 1 where a feature is."""
        lengths = mask.sum(1)
        if torch.compiler.is_exporting():  # the number of features may not depend on the data there
            sums = (self.embedding(ids) * mask[:, :, None]).sum(1)
            return self._hidden(sums / lengths[:, None])
        bag = F.embedding_bag(ids[mask.bool()], self.embedding.weight, lengths.cumsum(0) - lengths, mode="mean")
        return self._hidden(bag)

    def _hidden(self, bag: Tensor) -> Tensor:
        hidden: Tensor = F.gelu(self.hidden(self.dropout(self.norm(bag))))
        return hidden
