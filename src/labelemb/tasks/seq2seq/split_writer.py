"""Write the token ids, spans and lines of a split of a corpus."""

from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from labelemb.tasks.seq2seq.corpus import SIDES, SPANS_DTYPE
from labelemb.tasks.seq2seq.vocab import UNK, Vocabulary

Tokens = tuple[str, ...]


class SplitWriter:
    """Writes the files of one side of a split.

    Args:
        folder: Folder of the corpus.
        name: Name of the split.
        side: ``src`` or ``tgt``.
        vocabulary: Vocabulary of the side.

    Attributes:
        tokens: Number of tokens written.
        unknown: Number of tokens outside the vocabulary.
    """

    def __init__(self, folder: Path, name: str, side: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.ids: BinaryIO = (folder / f"{name}.{side}.ids").open("wb")
        self.spans: BinaryIO = (folder / f"{name}.{side}.spans").open("wb")
        self.lines: TextIO | None = None
        if name != "train":
            self.lines = (folder / f"{name}.{side}.txt").open("w", encoding="utf-8", newline="\n")
        self.dtype = ids_dtype(vocabulary)
        self.tokens = self.unknown = 0

    def add(self, tokens: Tokens, line: str | None) -> None:
        """Append a sentence; ``line``, its unmodified text, is written for validation and test splits."""
        ids = self.vocabulary.encode(tokens)
        self.ids.write(np.asarray(ids, self.dtype).tobytes())
        self.spans.write(np.asarray([self.tokens, self.tokens + len(ids)], SPANS_DTYPE).tobytes())
        self.tokens += len(ids)
        self.unknown += ids.count(UNK)
        if self.lines is not None:
            self.lines.write(f"{line}\n")

    def close(self) -> None:
        """Close the files."""
        for file in (self.ids, self.spans, self.lines):
            if file is not None:
                file.close()


def shuffle_pairs(folder: Path, pairs: int, seed: int) -> None:
    """Shuffle the training pairs by permuting their spans; the token ids stay in place."""
    order = np.random.default_rng(seed).permutation(pairs)
    for side in SIDES:
        file = folder / f"train.{side}.spans"
        spans = np.fromfile(file, SPANS_DTYPE).reshape(-1, 2)
        file.write_bytes(spans[order].tobytes())  # tofile() hides why a write failed


def ids_dtype(vocabulary: Vocabulary) -> str:
    """Return the smallest unsigned little-endian dtype that holds every token id: ``<u2`` or ``<u4``."""
    return "<u2" if len(vocabulary) <= 1 << 16 else "<u4"
