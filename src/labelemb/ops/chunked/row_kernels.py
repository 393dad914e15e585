"""What happens to a chunk's rows between its matrix products: the part that chunked and fused do differently.

n rows and u distinct labels at a time, V labels. Each row is read for its statistics and then turned into its gradient
in place, as losses of large vocabularies need. Nothing else looks at n x V numbers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LOG2_E = 1 / math.log(2)
CPU_BLOCK = 1 << 20  # bytes of fp32 per scratch buffer: small enough for the caches, few enough calls
GPU_BLOCK = 1 << 25


@dataclass(frozen=True)
class Statistics:
    """What one pass over rows of logits leaves behind, (n,) each.

    peak and log_sum stay apart: log p = (z - peak) - log_sum keeps the digits that their sum would round away.

    peak      max z
    log_sum   log sum exp (z - peak)
    log_p     log softmax(z)[y], when labels were given
    right     bool, whether y is the first index of the max, when labels were given
    soft_sum  log sum exp ((z - peak) / tau), when a temperature was asked for
    tau       that temperature
    """

    peak: Tensor
    log_sum: Tensor
    log_p: Tensor | None = None
    correct: Tensor | None = None
    soft_sum: Tensor | None = None
    tau: float = 1.0


@dataclass(frozen=True)
class BlockLabels:
    """labels (n,) int64; group (n,) int64, row of the chunk's distinct labels, ascending."""

    labels: Tensor
    group: Tensor


class RowKernels(Protocol):
    """The row work of a chunk. Buffers have the dtype of the matrix products; sums are fp32, or fp64 with fp64.

    A chunk goes through it block by block, so that between the calls for one block its numbers stay where they are
    fast. The calls that take ``found`` follow the ``statistics`` that made it, before those of another block.
    """

    def blocks(self, height: int) -> Iterator[slice]:
        """Cut so many rows of a chunk into the blocks that are worked on together."""

    def statistics(self, z: Tensor, labels: Tensor | None = None, tau: float | None = None) -> Statistics:
        """Z (n, V), labels (n,)."""

    def head_gradient(
        self, z: Tensor, found: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Turn z1 into hard * (p1 - onehot y) + soft * (p1 - q[y]). Return H(q[y], z1), (n,), 0 without q; and z1.

        z (n, V), in place: what is returned is z, or the same numbers before they were rounded to its dtype
        q (u, V), softmax of the embedding's rows, None: soft is 0; weights (hard, soft)
        """

    def auxiliary_gradient(self, z: Tensor, found: Statistics, at: BlockLabels, weight: Tensor) -> Tensor:
        """Turn z2 into weight * (p2 - onehot y) and return it as above. z (n, V), in place; weight (n,)."""

    def add_softmax_by_label(self, z: Tensor, found: Statistics, at: BlockLabels, chosen: Tensor, sums: Tensor) -> None:
        """Add softmax(z2 / tau) of each chosen row to its label's row of sums. chosen (n,) bool; sums (u, V)."""

    def embedding_gradient(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool) -> tuple[Tensor, Tensor]:
        """Turn e into counts * q - sums, sums into q = softmax(e). Return -sum_k sums_k log q_k, (u,), and e as above.

        e (u, V) and sums (u, V), in place: sums of softmax(z2 / tau) over the label's chosen rows
        counts     (u,), how many they are
        rectified  e came out of a relu: its gradient is zero where e is
        """


class TorchRowKernels:
    """The row work in plain torch calls, for any device: a few rows at a time, so that they stay in the caches.

    ``statistics`` leaves in scratch what the gradients need, so that each exponential is computed once.
    """

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32 or float64."""
        block = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
        self._height = max(1, block // (num_labels * dtype.itemsize))
        scratch = torch.empty(3, self._height, num_labels, dtype=dtype, device=device)
        self._shifted, self._powers, self._soft = scratch.unbind()  # z - peak; exp of it; exp of it / tau

    def blocks(self, height: int) -> Iterator[slice]:
        """See RowKernels."""
        return (slice(start, min(start + self._height, height)) for start in range(0, height, self._height))

    def statistics(self, z: Tensor, labels: Tensor | None = None, tau: float | None = None) -> Statistics:
        """See RowKernels."""
        shifted, powers = self._shifted[: len(z)], self._powers[: len(z)]
        x = self._wide(z, powers)
        peak, right = (x.amax(1), None) if labels is None else _peak_and_right(x, labels)
        torch.sub(x, peak[:, None], out=shifted)
        soft_sum = None if tau is None else _exp(shifted, tau, out=self._soft[: len(z)]).sum(1).log_()
        log_sum = _exp(shifted, 1.0, out=powers).sum(1).log_()
        log_p = None if labels is None else shifted.gather(1, labels[:, None])[:, 0] - log_sum
        return Statistics(peak, log_sum, log_p, right, soft_sum, 1.0 if tau is None else tau)

    def head_gradient(
        self, z: Tensor, found: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        hard, soft = weights
        values = torch.zeros_like(found.peak)
        shifted, target = self._shifted[: len(z)], self._soft[: len(z)]
        if q is not None:
            torch.index_select(q, 0, at.group, out=target)
            values = found.log_sum - shifted.mul_(target).sum(1)
        gradient = self._scaled(z, (hard + soft) * found.log_sum.neg().exp_())
        if q is not None:
            gradient.sub_(target, alpha=soft)
        gradient.scatter_add_(1, at.labels[:, None], gradient.new_full((len(z), 1), -hard))  # before any down-cast
        return values, _back(gradient, z)

    def auxiliary_gradient(self, z: Tensor, found: Statistics, at: BlockLabels, weight: Tensor) -> Tensor:
        """See RowKernels."""
        gradient = self._scaled(z, weight * found.log_sum.neg().exp_())
        gradient.scatter_add_(1, at.labels[:, None], -weight[:, None])
        return _back(gradient, z)

    def add_softmax_by_label(self, z: Tensor, found: Statistics, at: BlockLabels, chosen: Tensor, sums: Tensor) -> None:
        """See RowKernels."""
        assert found.soft_sum is not None
        scale = chosen * found.soft_sum.neg().exp_()
        sums.index_add_(0, at.group, self._soft[: len(z)].mul_(scale[:, None]))

    def embedding_gradient(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        found = self.statistics(e)
        shifted, scratch = self._shifted[: len(e)], self._soft[: len(e)]
        values = counts * found.log_sum - torch.mul(sums, shifted, out=scratch).sum(1)
        inverse = found.log_sum.neg().exp_()
        gradient = torch.mul(self._powers[: len(e)], (counts * inverse)[:, None], out=shifted).sub_(sums)
        if rectified:
            gradient.mul_(torch.gt(self._wide(e, scratch), 0, out=scratch))
        torch.mul(self._powers[: len(e)], inverse[:, None], out=sums)
        return values, _back(gradient, e)

    def _scaled(self, z: Tensor, scale: Tensor) -> Tensor:
        """Return scale * exp(z - peak), in z itself where z has the dtype of the sums. scale (n,)."""
        powers = self._powers[: len(z)]
        return torch.mul(powers, scale[:, None], out=z if z.dtype == powers.dtype else powers)

    @staticmethod
    def _wide(rows: Tensor, scratch: Tensor) -> Tensor:
        """Return the rows in the dtype of the sums: themselves where they have it already, else in scratch."""
        return rows if rows.dtype == scratch.dtype else scratch.copy_(rows)


def _peak_and_right(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Max of each row of x, (n,), and whether labels has its first index, (n,) bool.

    On a CPU argmax takes longer than all the rest of the row work. The max of the other labels tells as much, but for
    ties; x is changed meanwhile.
    """
    if x.device.type != "cpu":
        return x.amax(1), x.argmax(1) == labels
    own = x.gather(1, labels[:, None])
    others = x.scatter_(1, labels[:, None], -math.inf).amax(1)
    x.scatter_(1, labels[:, None], own)
    own = own[:, 0]
    right = own > others
    tied = (own == others).nonzero()[:, 0]
    right[tied] = x[tied].argmax(1) == labels[tied]
    return torch.maximum(own, others), right


def _back(x: Tensor, rows: Tensor) -> Tensor:
    """Write x into rows, if it is not there already, and return x."""
    if x.data_ptr() != rows.data_ptr():
        rows.copy_(x)
    return x


def _exp(x: Tensor, tau: float, out: Tensor) -> Tensor:
    """Out <- exp(x / tau), for x <= 0.

    By exp2, which torch vectorises itself. Its exp is the processor maker's: 30 % faster than this on a Xeon, on an
    EPYC three times slower, and a hundred times where the result is subnormal, so that time depends on the data.
    """
    return torch.mul(x, LOG2_E / tau, out=out).exp2_()
