"""Encoded texts, and batches of texts of similar lengths. N texts, T tokens of the longest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from labelemb.training.seeding import stream_seed

BATCHES_PER_CHUNK = 100  # texts are sorted by length within chunks of this many batches


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of N texts, one after the other.

    Args:
        ids: int32, all tokens.
        starts: int64 ``(N + 1,)``, where each text starts; the last is the number of tokens.
        truncated: Number of texts that were longer than the maximum.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    truncated: int = 0

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], truncated: int = 0) -> "EncodedTexts":
        """Join lists of token ids."""
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        ids = np.fromiter((token for row in rows for token in row), np.int32, count=int(starts[-1]))
        return cls(ids, starts, truncated)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Return the number of tokens of each text."""
        return np.diff(self.starts)

    def padded(self, rows: npt.NDArray[np.int64], pad_id: int) -> tuple[Tensor, Tensor]:
        """Return ids and mask of some texts, int64 ``(len(rows), T)`` each; the mask is 1 where a token is."""
        starts = self.starts[rows]
        lengths = self.starts[rows + 1] - starts
        columns = np.arange(max(int(lengths.max(initial=0)), 1))
        inside = columns < lengths[:, None]
        ids = np.full(inside.shape, pad_id, np.int64)
        ids[inside] = self.ids[(starts[:, None] + columns)[inside]]
        return torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64))


@dataclass(frozen=True)
class TextBatch:
    """A micro-batch of N texts on the device; ``index`` is the training row of each, None for held-out texts."""

    ids: Tensor
    mask: Tensor
    labels: Tensor
    index: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """Return the arguments of the model."""
        return self.ids, self.mask

    @property
    def targets(self) -> Tensor:
        """Return the labels."""
        return self.labels

    @property
    def size(self) -> int:
        """Return the number of texts."""
        return len(self.labels)


def batches_by_length(
    lengths: npt.NDArray[np.int64],
    batch_size: int,
    seed: int,
    epoch: int,
    rows: npt.NDArray[np.int64] | None = None,
) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each batch of an epoch: texts of similar lengths, in random order.

    Texts are shuffled, sorted by length within chunks of ``BATCHES_PER_CHUNK`` batches, cut into batches, and the
    batches are shuffled. The result depends on the arguments only.

    Args:
        lengths: Number of tokens of each text.
        batch_size: Texts per batch.
        seed: Seed of the run.
        epoch: Number of the epoch.
        rows: Texts of the epoch in random order, in which a text may occur more than once; None: every text once.
    """
    draw = np.random.default_rng(stream_seed(seed, "order", epoch))
    order = draw.permutation(len(lengths)) if rows is None else rows
    chunk = batch_size * BATCHES_PER_CHUNK
    chunks = [order[start : start + chunk] for start in range(0, len(order), chunk)]
    order = np.concatenate([piece[np.argsort(lengths[piece], kind="stable")] for piece in chunks])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[number] for number in draw.permutation(len(batches))]


def padding_ratio(lengths: npt.NDArray[np.int64], batches: Sequence[npt.NDArray[np.int64]]) -> float:
    """Return the number of tokens with padding divided by the number without."""
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
    return padded / max(int(lengths.sum()), 1)
