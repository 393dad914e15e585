"""Chunks: the rows of a batch sorted by label and cut into pieces that fit a byte budget.

N rows that are not ignored, V labels, U distinct labels in the batch; n rows and u distinct labels of a chunk.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.terms.rows import Rows

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


@dataclass(frozen=True)
class SortedRows:
    """The rows of a batch, equal labels side by side, so that what depends on the label is computed once.

    Attributes:
        order: Position of each row in the batch as it came, shape ``(N,)``.
        labels: Ascending, shape ``(N,)``.
        distinct: The labels that occur, ascending, shape ``(U,)``.
        group: Position of each row's label in ``distinct``, shape ``(N,)``.
        weights: Class weight of each row, shape ``(N,)``; None: all 1. Rows of a label have the same.
    """

    order: Tensor
    labels: Tensor
    distinct: Tensor
    group: Tensor
    weights: Tensor | None = None

    @classmethod
    def of(cls, rows: Rows) -> "SortedRows":
        """Drop the ignored rows and sort the others. Synchronizes once: shapes depend on the values."""
        kept = rows.mask.nonzero().squeeze(1)
        labels, order = torch.sort(rows.labels[kept], stable=True)
        distinct, group = torch.unique_consecutive(labels, return_inverse=True)
        order = kept[order]
        weights = None if rows.weights is None else rows.weights[order]
        return cls(order=order, labels=labels, distinct=distinct, group=group, weights=weights)


@dataclass(frozen=True)
class Chunk:
    """A range of sorted rows and the range of distinct labels that they have.

    The rows of a label may lie in two chunks: everything that is accumulated by label is a sum over rows.
    """

    rows: slice
    groups: slice

    @property
    def num_rows(self) -> int:
        """Return n."""
        return int(self.rows.stop - self.rows.start)

    @property
    def num_groups(self) -> int:
        """Return u."""
        return int(self.groups.stop - self.groups.start)


def plan_chunks(group: list[int], row_bytes: int, group_bytes: int, budget: int) -> list[Chunk]:
    """Cut N sorted rows into as few chunks as the budget allows, of about the same size; at least one row per chunk.

    Args:
        group: Position of each row's label among the distinct ones, ascending in steps of 0 or 1.
        row_bytes: Buffer space of one row.
        group_bytes: Buffer space of one distinct label.
        budget: Buffer space of one chunk.

    Example:
        >>> chunks = plan_chunks([0, 0, 0, 1, 2, 3], row_bytes=1, group_bytes=2, budget=6)
        >>> [(chunk.rows.stop, chunk.groups.stop) for chunk in chunks]
        [(3, 1), (5, 3), (6, 4)]
    """
    if not group:
        return []
    chunks = list(_fill(group, row_bytes, group_bytes, budget))
    whole = sum(chunk.num_rows * row_bytes + chunk.num_groups * group_bytes for chunk in chunks)
    even = -(-whole // len(chunks)) + row_bytes + group_bytes  # no more chunks than before, and no tiny last one
    return list(_fill(group, row_bytes, group_bytes, min(budget, even)))


def _fill(group: list[int], row_bytes: int, group_bytes: int, budget: int) -> Iterator[Chunk]:
    used = [(row + 1) * row_bytes + (label + 1) * group_bytes for row, label in enumerate(group)]
    start = 0
    while start < len(group):
        before = start * row_bytes + group[start] * group_bytes
        stop = max(start + 1, bisect_right(used, before + budget, lo=start))
        yield Chunk(slice(start, stop), slice(group[start], group[stop - 1] + 1))
        start = stop


class Arena:
    """One block of memory for the buffers of all chunks: fresh memory would cost a page fault per 4 KiB."""

    def __init__(self, width: int, size: int, device: torch.device) -> None:
        """width: columns of each buffer; size: bytes, ``ALIGNMENT`` more for each buffer that starts after another."""
        self._width, self._bytes = width, torch.empty(size, dtype=torch.uint8, device=device)

    def carve(self, height: int, dtype: torch.dtype, start: int = 0) -> Tensor:
        """Return a (height, width) buffer that starts at byte ``start`` or just after; values undefined.

        Buffers that overlap share their memory: only one of them may be in use at a time.
        """
        start = -(-start // ALIGNMENT) * ALIGNMENT
        stop = start + height * self._width * dtype.itemsize
        return self._bytes[start:stop].view(dtype).view(height, self._width)
