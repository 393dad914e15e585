"""Chunks: the mask rows of a batch sorted by label and cut into pieces that fit a byte budget.

N mask rows, V labels, U distinct labels in the batch; within a chunk n rows and u distinct labels.
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
    """The mask rows of a batch, equal labels side by side, so that what depends on the label is computed once.

    order     (N,) position of each row in the batch as it came
    labels    (N,) ascending
    distinct  (U,) the labels that occur, ascending
    group     (N,) position of each row's label in ``distinct``
    """

    order: Tensor
    labels: Tensor
    distinct: Tensor
    group: Tensor

    @classmethod
    def of(cls, rows: Rows) -> "SortedRows":
        """Drop the ignored rows and sort the others. Waits for the device once: shapes depend on the values."""
        kept = rows.mask.nonzero().squeeze(1)
        labels, order = torch.sort(rows.labels[kept], stable=True)
        distinct, group = torch.unique_consecutive(labels, return_inverse=True)
        return cls(order=kept[order], labels=labels, distinct=distinct, group=group)


@dataclass(frozen=True)
class Chunk:
    """A run of sorted rows and of the distinct labels that they have.

    A label with many rows may lie in two chunks: everything that is accumulated by label is a sum over rows.
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


def plan(group: list[int], row_bytes: int, group_bytes: int, budget: int) -> list[Chunk]:
    """Cut N sorted rows into as few chunks as the budget allows, of about the same size; one row per chunk at the least.

    group        position of each row's label among the distinct ones, ascending in steps of 0 or 1
    row_bytes    buffer space of one row; group_bytes: of one distinct label; budget: of one chunk

    >>> [(s.rows.stop, s.groups.stop) for s in plan([0, 0, 0, 1, 2, 3], row_bytes=1, group_bytes=2, budget=6)]
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
    """One block of memory that every chunk carves its buffers from: fresh memory costs a page fault per 4 KiB."""

    def __init__(self, width: int, size: int, device: torch.device) -> None:
        """width: columns of each buffer; size: bytes, ``ALIGNMENT`` more for each buffer that starts after another."""
        self._width, self._bytes = width, torch.empty(size, dtype=torch.uint8, device=device)

    def carve(self, height: int, dtype: torch.dtype, start: int = 0) -> Tensor:
        """Return a (height, width) buffer that starts at byte ``start`` or just after; values undefined.

        What lies there already is overwritten along with it: two buffers in one place take turns.
        """
        start = -(-start // ALIGNMENT) * ALIGNMENT
        stop = start + height * self._width * dtype.itemsize
        return self._bytes[start:stop].view(dtype).view(height, self._width)
