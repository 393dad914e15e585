"""Batches of sentence pairs of similar length. B sentences, S source tokens, T target tokens with EOS; padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from labelemb.errors import Choices
from labelemb.tasks.seq2seq.sentences import Sentences, Split
from labelemb.tasks.seq2seq.vocab import BOS, EOS, PAD, UNK
from labelemb.training.seeding import stream_seed

BatchType = Literal["sentences", "tokens"]
Rows = npt.NDArray[np.int64]
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128)  # candidate widths, in tokens, of the length buckets of BatchPlan


@dataclass(frozen=True)
class PairBatch:
    """A micro-batch of sentence pairs on the device.

    Attributes:
        source: Source token ids, int64 `(B, S)`.
        lengths: Source lengths, int64 `(B,)`; kept on the CPU, as packing requires.
        target_input: Decoder input, int64 `(B, T)`; starts with BOS.
        targets: Target token ids, int64 `(B, T)`; end with EOS, followed by PAD.
        size: Number of target tokens, including EOS.
    """

    source: Tensor
    lengths: Tensor
    target_input: Tensor
    targets: Tensor
    size: int

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the arguments of the model."""
        return self.source, self.lengths, self.target_input

    @property
    def labels(self) -> Tensor:
        """Return the target token ids."""
        return self.targets

    @property
    def index(self) -> None:
        """Return None: tokens have no sample index."""
        return None

    @classmethod
    def from_rows(cls, split: Split, rows: Rows, device: torch.device | str = "cpu") -> "PairBatch":
        """Build a padded batch.

        Args:
            split: Parallel sentences.
            rows: Indices of the B sentence pairs, int64 `(B,)`; B may be 0.
            device: Device of the tensors, except for ``lengths``.

        Returns:
            The batch.
        """
        source, lengths = source_batch(split.src, rows, device)
        target, target_lengths = padded(split.tgt, rows)
        count, width = target.shape
        with_ends = np.full((count, width + 2), PAD, np.int64)  # BOS, target, EOS, padding
        with_ends[:, 0], with_ends[:, 1:-1] = BOS, target
        with_ends[np.arange(count), target_lengths + 1] = EOS
        tokens = torch.from_numpy(with_ends).to(device)
        target_input = tokens[:, :-1].masked_fill(tokens[:, :-1] == EOS, PAD)
        return cls(source, lengths, target_input, tokens[:, 1:].contiguous(), int(target_lengths.sum()) + count)


def source_batch(sentences: Sentences, rows: Rows, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return the padded source of a batch.

    An empty sentence is replaced by a single UNK token, since the encoder needs at least one token.

    Args:
        sentences: Source sentences.
        rows: Indices of the B sentences, int64 `(B,)`.
        device: Device of the token ids.

    Returns:
        Token ids, int64 `(B, S)`, and lengths, int64 `(B,)`, on the CPU.
    """
    source, lengths = padded(sentences, rows)
    if (lengths == 0).any():
        source = source if source.shape[1] else np.full((len(rows), 1), PAD, np.int64)
        source[lengths == 0, 0] = UNK
        lengths = np.maximum(lengths, 1)
    return torch.from_numpy(source).to(device), torch.from_numpy(lengths)


def padded(sentences: Sentences, rows: Rows) -> tuple[Rows, Rows]:
    """Return right-padded token ids, int64 `(B, S)`, and sentence lengths, int64 `(B,)`."""
    spans = sentences.spans[rows].astype(np.int64)
    lengths = spans[:, 1] - spans[:, 0]
    columns = np.arange(lengths.max(initial=0))
    inside = columns < lengths[:, None]  # (B, S)
    result = np.full(inside.shape, PAD, np.int64)
    result[inside] = sentences.ids[(spans[:, :1] + columns)[inside]]
    return result, lengths


class BatchPlan:
    """Assign rows to batches of similar length in each epoch to reduce padding.

    Rows are sorted by the lengths of both sides, with ties shuffled in each epoch, and split into batches; the batches
    are then shuffled. The number of batches is the same in every epoch.

    Args:
        source_lengths: Source tokens per row, `(N,)`.
        target_lengths: Target tokens per row, `(N,)`, without EOS.
        batch_size: Sentences per batch, or the maximum number of tokens of the longer side, including padding.
        by: Unit of ``batch_size``.
        seed: Seed of the shuffling.

    Raises:
        ConfigError: If ``batch_size`` or ``by`` is invalid.
    """

    def __init__(
        self,
        source_lengths: npt.NDArray[np.integer],
        target_lengths: npt.NDArray[np.integer],
        batch_size: int,
        by: BatchType = "sentences",
        seed: int = 0,
    ) -> None:
        with Choices() as choices:
            choices.expect(batch_size >= 1, "batch_size", "a whole number >= 1", batch_size)
            choices.expect_one_of("batch_type", by, get_args(BatchType))
        self.batch_size, self.by, self.seed = batch_size, by, seed
        self._lengths = (source_lengths.astype(np.int64), target_lengths.astype(np.int64) + 1)  # + 1: EOS
        self._layout = min(((first, width) for first in (0, 1) for width in WIDTHS), key=self._layout_padding)
        rows = self._sorted(self._layout, None)
        self._starts = self._batch_starts(rows)
        self.padding = self._padding(rows, self._starts)

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._starts)

    def epoch(self, epoch: int) -> list[Rows]:
        """Return the rows of each batch; determined by the seed and the epoch."""
        rng = np.random.default_rng(stream_seed(self.seed, "order", epoch))
        batches = np.split(self._sorted(self._layout, rng), self._starts[1:])
        return [batches[number] for number in rng.permutation(len(batches))]

    @cached_property
    def _max_lengths(self) -> Rows:
        return np.maximum(*self._lengths)

    def _sorted(self, layout: tuple[int, int], rng: np.random.Generator | None) -> Rows:
        """Return the rows sorted by length.

        The sort keys are the length of the first side in buckets of ``width`` tokens, the length of the second side,
        the exact length of the first side, and a random number (the row number where ``rng`` is None). The second side
        is sorted ascending in even and descending in odd buckets, so that a batch across two buckets has similar
        lengths.

        Args:
            layout: First side (0: source, 1: target) and ``width``.
            rng: Generator for ties.
        """
        first, width = layout
        first_lengths, second_lengths = self._lengths[first], self._lengths[1 - first]
        ties = rng.permutation(len(first_lengths)) if rng is not None else np.arange(len(first_lengths))
        bucket = first_lengths // width
        second_key = np.where(bucket % 2, -second_lengths, second_lengths)
        return np.lexsort((ties, first_lengths, second_key, bucket))

    def _batch_starts(self, rows: Rows) -> Rows:
        """Return the position in ``rows`` at which each batch starts."""
        if self.by == "sentences":
            return np.arange(0, len(rows), self.batch_size)
        starts, longest = [0], 0
        for position, length in enumerate(self._max_lengths[rows].tolist()):
            longest = max(longest, length)
            if position > starts[-1] and (position + 1 - starts[-1]) * longest > self.batch_size:
                starts.append(position)
                longest = length
        return np.asarray(starts)

    def _layout_padding(self, layout: tuple[int, int]) -> float:
        rows = self._sorted(layout, None)
        size = self.batch_size if self.by == "sentences" else max(1, int(self.batch_size / self._max_lengths.mean()))
        return self._padding(rows, np.arange(0, len(rows), size))

    def _padding(self, rows: Rows, starts: Rows) -> float:
        """Return the ratio of tokens with padding to tokens without, over both sides."""
        counts = np.diff(np.append(starts, len(rows)))
        padded_tokens = sum(
            int((np.maximum.reduceat(lengths[rows], starts) * counts).sum()) for lengths in self._lengths
        )
        return padded_tokens / sum(int(lengths.sum()) for lengths in self._lengths)


def batches_by_length(lengths: npt.NDArray[np.integer] | Sequence[int], batch_size: int) -> list[Rows]:
    """Split rows into batches of similar length, longest first, so that out-of-memory errors occur at once.

    Args:
        lengths: Tokens per row, `(N,)`.
        batch_size: Rows per batch.

    Returns:
        The row indices of each batch.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
