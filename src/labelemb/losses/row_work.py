"""What happens to a slab's rows between its matrix products: the part that chunked and fused do differently.

n rows and u distinct labels of a slab, V labels. Two passes over each row, as losses of large vocabularies need:
``statistics`` reads it once, a ``*_gradient`` turns it into the gradient in place. Nothing else looks at n x V numbers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LOG2_E = 1 / math.log(2)
CPU_BLOCK = 1 << 21  # bytes of fp32 per scratch buffer: small enough for the caches, few enough calls
GPU_BLOCK = 1 << 25


@dataclass(frozen=True)
class Statistics:
    """What one pass over rows of logits leaves behind, (n,) each.

    peak and log_sum stay apart: log p = (z - peak) - log_sum keeps the digits that their sum would round away.

    argmax    int64, the first of equals
    peak      max z
    log_sum   log sum exp (z - peak)
    soft_sum  log sum exp ((z - peak) / tau), when a temperature was asked for
    tau       that temperature
    """

    argmax: Tensor
    peak: Tensor
    log_sum: Tensor
    soft_sum: Tensor | None = None
    tau: float = 1.0


@dataclass(frozen=True)
class SlabLabels:
    """labels (n,) int64; group (n,) int64, row of the slab's distinct labels, ascending."""

    labels: Tensor
    group: Tensor


@dataclass(frozen=True)
class Teacher:
    """Rows of the label embedding for the distinct labels of a slab.

    logits     (u, V), e
    found      their statistics
    rectified  e came out of a relu: its gradient is zero where e is
    """

    logits: Tensor
    found: Statistics
    rectified: bool


class RowWork(Protocol):
    """The row work of a slab. Buffers have the dtype of the matrix products; sums are fp32, or fp64 with fp64."""

    def statistics(self, z: Tensor, tau: float | None = None) -> Statistics:
        """Z (n, V), read once."""

    def head_gradient(
        self, z: Tensor, found: Statistics, at: SlabLabels, teacher: Teacher | None, weights: tuple[float, float]
    ) -> Tensor:
        """Turn z1 into hard * (p1 - onehot y) + soft * (p1 - q[y]) and return H(q[y], z1), (n,), 0 without a teacher.

        z (n, V), in place; weights (hard, soft), soft 0 without a teacher
        """

    def auxiliary_gradient(self, z: Tensor, found: Statistics, at: SlabLabels, weight: Tensor) -> None:
        """Turn z2 into weight * (p2 - onehot y). z (n, V), in place; weight (n,)."""

    def add_softmax_by_label(self, z: Tensor, found: Statistics, at: SlabLabels, chosen: Tensor, sums: Tensor) -> None:
        """Add softmax(z2 / tau) of each chosen row to its label's row of sums. chosen (n,) bool; sums (u, V)."""

    def embedding_gradient(self, teacher: Teacher, sums: Tensor, counts: Tensor) -> Tensor:
        """Turn e into counts * q - sums, zero where a relu was zero, and return -sum_k sums_k log q_k, (u,).

        sums (u, V), of softmax(z2 / tau) over the label's chosen rows; counts (u,), how many they are
        """


class TorchRowWork:
    """The row work in plain torch calls, for any device: a few rows at a time, so that they stay in the caches."""

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32 or float64."""
        block = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
        self._height = max(1, block // (num_labels * dtype.itemsize))
        self._x, self._y, self._q = torch.empty(3, self._height, num_labels, dtype=dtype, device=device).unbind()
        self._countdown = torch.arange(num_labels, 0, -1, dtype=dtype, device=device)  # exact up to V = 2^24

    def statistics(self, z: Tensor, tau: float | None = None) -> Statistics:
        """See RowWork."""
        peak, log_sum, soft_sum, first = self._x.new_empty(4, len(z)).unbind()
        for rows in self._blocks(z):
            x, shifted = self._wide(z[rows]), self._y[: len(z[rows])]
            torch.amax(x, 1, out=peak[rows])
            # torch.argmax takes longer than all the rest: look for the peak from the end of a falling sequence instead
            torch.amax(torch.eq(x, peak[rows, None], out=shifted).mul_(self._countdown), 1, out=first[rows])
            torch.sub(x, peak[rows, None], out=shifted)
            if tau is not None:
                scaled = torch.mul(shifted, LOG2_E / tau, out=self._q[: len(shifted)])
                torch.sum(scaled.exp2_(), 1, out=soft_sum[rows])
            torch.sum(_exp_(shifted), 1, out=log_sum[rows])
        argmax = (len(self._countdown) - first).long()
        if tau is None:
            return Statistics(argmax, peak, log_sum.log_())
        return Statistics(argmax, peak, log_sum.log_(), soft_sum.log_(), tau)

    def head_gradient(
        self, z: Tensor, found: Statistics, at: SlabLabels, teacher: Teacher | None, weights: tuple[float, float]
    ) -> Tensor:
        """See RowWork."""
        hard, soft = weights
        values = torch.zeros_like(found.peak)
        scale = (hard + soft) * found.log_sum.neg().exp_()
        for rows in self._blocks(z):
            x = self._wide(z[rows]).sub_(found.peak[rows, None])
            q, product = self._q[: len(x)], self._y[: len(x)]
            if teacher is not None:
                self._targets(teacher, at.group[rows], q)
                values[rows] = found.log_sum[rows] - torch.mul(x, q, out=product).sum(1)
            _exp_(x).mul_(scale[rows, None])
            if teacher is not None:
                x.sub_(q, alpha=soft)
            x.scatter_add_(1, at.labels[rows, None], x.new_full((len(x), 1), -hard))  # before any down-cast
            self._back(x, z[rows])
        return values

    def auxiliary_gradient(self, z: Tensor, found: Statistics, at: SlabLabels, weight: Tensor) -> None:
        """See RowWork."""
        scale = weight * found.log_sum.neg().exp_()
        for rows in self._blocks(z):
            x = _exp_(self._wide(z[rows]).sub_(found.peak[rows, None])).mul_(scale[rows, None])
            x.scatter_add_(1, at.labels[rows, None], -weight[rows, None])
            self._back(x, z[rows])

    def add_softmax_by_label(self, z: Tensor, found: Statistics, at: SlabLabels, chosen: Tensor, sums: Tensor) -> None:
        """See RowWork."""
        assert found.soft_sum is not None
        scale = chosen * found.soft_sum.neg().exp_()
        for rows in self._blocks(z):
            x = torch.sub(self._wide(z[rows]), found.peak[rows, None], out=self._y[: len(z[rows])])
            sums.index_add_(0, at.group[rows], _exp_(x, found.tau).mul_(scale[rows, None]))

    def embedding_gradient(self, teacher: Teacher, sums: Tensor, counts: Tensor) -> Tensor:
        """See RowWork."""
        e, found = teacher.logits, teacher.found
        values = torch.empty_like(found.peak)
        scale = counts * found.log_sum.neg().exp_()
        for rows in self._blocks(e):
            x, q, product = self._wide(e[rows]), self._y[: len(e[rows])], self._q[: len(e[rows])]
            torch.sub(x, found.peak[rows, None], out=q)
            values[rows] = counts[rows] * found.log_sum[rows] - torch.mul(sums[rows], q, out=product).sum(1)
            gradient = _exp_(q).mul_(scale[rows, None]).sub_(sums[rows])
            if teacher.rectified:
                gradient.mul_(torch.gt(x, 0, out=product))
            self._back(gradient, e[rows])
        return values

    def _blocks(self, z: Tensor) -> Iterator[slice]:
        return (slice(start, min(start + self._height, len(z))) for start in range(0, len(z), self._height))

    def _wide(self, rows: Tensor) -> Tensor:
        """Return the rows in the dtype of the sums: themselves where they have it already."""
        return rows if rows.dtype == self._x.dtype else self._x[: len(rows)].copy_(rows)

    @staticmethod
    def _back(x: Tensor, rows: Tensor) -> None:
        if x.data_ptr() != rows.data_ptr():
            rows.copy_(x)

    @staticmethod
    def _targets(teacher: Teacher, group: Tensor, out: Tensor) -> None:
        """Write q = softmax(e) of each row's label into out, (rows, V)."""
        if teacher.logits.dtype == out.dtype:
            torch.index_select(teacher.logits, 0, group, out=out)
        else:
            out.copy_(teacher.logits.index_select(0, group))
        _exp_(out.sub_(teacher.found.peak[group, None])).mul_(teacher.found.log_sum[group, None].neg().exp_())


def _exp_(x: Tensor, tau: float = 1.0) -> Tensor:
    """X <- exp(x / tau), for x <= 0.

    By exp2, which torch vectorises itself: on a CPU its exp takes three times as long, and a hundred times where the
    result is subnormal (0.29, 0.82 and 30 ns a number were measured), so that the time would depend on the data.
    """
    return x.mul_(LOG2_E / tau).exp2_()
