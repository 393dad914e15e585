"""Tokenized sentences: one flat array of token ids, with the start and end offset of each sentence."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Sentences:
    """N sentences of one side; ``sentences[i]`` is the array of token ids of sentence i.

    Attributes:
        ids: Concatenated token ids of all sentences, `(tokens,)`; uint16 where the vocabulary allows.
        spans: Start and end of each sentence in ``ids``, int64 `(N, 2)`.
    """

    ids: IntArray
    spans: IntArray

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, row: int) -> IntArray:
        start, stop = self.spans[row]
        return self.ids[start:stop]

    @property
    def lengths(self) -> IntArray:
        """Return the number of tokens of each sentence, `(N,)`."""
        lengths: IntArray = self.spans[:, 1] - self.spans[:, 0]
        return lengths


@dataclass(frozen=True)
class Split:
    """Parallel sentences.

    Attributes:
        src: Source sentences.
        tgt: Target sentences, in the same order.
        src_lines: Source text by line; empty for the training split.
        tgt_lines: Target text by line; empty for the training split.
    """

    src: Sentences
    tgt: Sentences
    src_lines: tuple[str, ...] = ()
    tgt_lines: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.src)

    def first(self, count: int) -> "Split":
        """Return the first ``count`` pairs, or all if it is 0."""
        if not count:
            return self
        source, target = (Sentences(side.ids, side.spans[:count]) for side in (self.src, self.tgt))
        return replace(self, src=source, tgt=target, src_lines=self.src_lines[:count], tgt_lines=self.tgt_lines[:count])
