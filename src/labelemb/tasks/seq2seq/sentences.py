"""Tokenized sentences: one flat array of token ids, with the start and end offset of each sentence."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Sentences:
    """N sentences of one side: ``sentences[i]`` is an integer array, ``lengths`` (N,) says how long each is.

    ids    (tokens of all sentences,), little-endian, two bytes each where the vocabulary allows
    spans  (N, 2) int64
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
        """Return (N,) tokens per sentence."""
        lengths: IntArray = self.spans[:, 1] - self.spans[:, 0]
        return lengths


@dataclass(frozen=True)
class Split:
    """Parallel sentences. The raw lines are kept for validation and test splits only."""

    src: Sentences
    tgt: Sentences
    src_lines: tuple[str, ...] = ()
    tgt_lines: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.src)

    def first(self, count: int) -> "Split":
        """Return the first pairs; 0: all."""
        if not count:
            return self
        source, target = (Sentences(side.ids, side.spans[:count]) for side in (self.src, self.tgt))
        return replace(self, src=source, tgt=target, src_lines=self.src_lines[:count], tgt_lines=self.tgt_lines[:count])
