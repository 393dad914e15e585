"""Row kernels in plain torch calls, for any device: a few rows at a time, so that they stay in the caches.

n rows and u distinct labels at a time, V labels.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from labelemb.ops.chunked.row_kernels import BlockLabels, Statistics

LOG2_E = 1 / math.log(2)
CPU_BLOCK_BYTES = 1 << 19  # of fp32 per scratch buffer: small enough for the caches, large enough to keep calls few
GPU_BLOCK_BYTES = 1 << 25


class TorchRowKernels:
    """See ``RowKernels``. ``statistics`` leaves in scratch what gradients need: each exponential is computed once."""

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32 or float64."""
        block = CPU_BLOCK_BYTES if device.type == "cpu" else GPU_BLOCK_BYTES
        self._height = max(1, block // (num_labels * dtype.itemsize))
        scratch = torch.empty(3, self._height, num_labels, dtype=dtype, device=device)
        self._shifted, self._powers, self._tempered = scratch.unbind()  # z - peak; exp of it; exp of it / tau

    def blocks(self, height: int) -> Iterator[slice]:
        """See RowKernels."""
        return (slice(start, min(start + self._height, height)) for start in range(0, height, self._height))

    def statistics(self, z: Tensor, labels: Tensor | None = None, tau: float | None = None) -> Statistics:
        """See RowKernels."""
        shifted, powers = self._shifted[: len(z)], self._powers[: len(z)]
        x = self._wide(z, powers)
        peak, correct = (x.amax(1), None) if labels is None else _peak_and_correct(x, labels)
        torch.sub(x, peak[:, None], out=shifted)
        tempered = None if tau is None else _exp(shifted, tau, out=self._tempered[: len(z)]).sum(1).log_()
        log_sum = _exp(shifted, 1.0, out=powers).sum(1).log_()
        log_p = None if labels is None else shifted.gather(1, labels[:, None])[:, 0] - log_sum
        return Statistics(peak, log_sum, log_p, correct, tempered, 1.0 if tau is None else tau)

    def head_gradient(
        self, z: Tensor, stats: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        if stats.tempered_log_sum is not None:
            return self._tempered_head_gradient(z, stats, at, q, weights)
        hard, soft = weights
        values = torch.zeros_like(stats.peak)
        shifted, target = self._shifted[: len(z)], self._tempered[: len(z)]
        if q is not None:
            torch.index_select(q, 0, at.group, out=target)
            values = stats.log_sum - shifted.mul_(target).sum(1)
        gradient = self._scaled(z, (hard + soft) * stats.log_sum.neg().exp_())
        if q is not None:
            gradient.sub_(target, alpha=soft)
        gradient.scatter_add_(1, at.labels[:, None], gradient.new_full((len(z), 1), -hard))  # before any down-cast
        return values, _back(gradient, z)

    def _tempered_head_gradient(
        self, z: Tensor, stats: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """The gradient with a temperature other than 1 in the soft term; scratch holds exp((z - peak) / t) already."""
        assert stats.tempered_log_sum is not None
        assert q is not None
        hard, soft = weights[0], weights[1] / stats.tau
        shifted, scratch = self._shifted[: len(z)], self._tempered[: len(z)]
        scratch.mul_((soft * stats.tempered_log_sum.neg().exp_())[:, None])
        gradient = self._scaled(z, hard * stats.log_sum.neg().exp_()).add_(scratch)
        target = torch.index_select(q, 0, at.group, out=scratch)
        values = stats.tempered_log_sum - shifted.mul_(target).sum(1) / stats.tau
        gradient.sub_(target, alpha=soft)
        gradient.scatter_add_(1, at.labels[:, None], gradient.new_full((len(z), 1), -hard))
        return values, _back(gradient, z)

    def auxiliary_gradient(self, z: Tensor, stats: Statistics, at: BlockLabels, weight: Tensor) -> Tensor:
        """See RowKernels."""
        gradient = self._scaled(z, weight * stats.log_sum.neg().exp_())
        gradient.scatter_add_(1, at.labels[:, None], -weight[:, None])
        return _back(gradient, z)

    def add_softmax_by_label(self, z: Tensor, stats: Statistics, at: BlockLabels, mask: Tensor, sums: Tensor) -> None:
        """See RowKernels."""
        assert stats.tempered_log_sum is not None
        scale = mask * stats.tempered_log_sum.neg().exp_()
        sums.index_add_(0, at.group, self._tempered[: len(z)].mul_(scale[:, None]))

    def embedding_gradient(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        stats = self.statistics(e)
        shifted, scratch = self._shifted[: len(e)], self._tempered[: len(e)]
        values = counts * stats.log_sum - torch.mul(sums, shifted, out=scratch).sum(1)
        inverse = stats.log_sum.neg().exp_()
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


def _peak_and_correct(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the max of each row of x, ``(n,)``, and whether the label is its first index, ``(n,)`` bool.

    On a CPU argmax takes longer than all other work on rows. The max of the other labels tells the same, except for
    ties; x is changed in between.
    """
    if x.device.type != "cpu":
        return x.amax(1), x.argmax(1) == labels
    own = x.gather(1, labels[:, None])
    others = x.scatter_(1, labels[:, None], -math.inf).amax(1)
    x.scatter_(1, labels[:, None], own)
    own = own[:, 0]
    correct = own > others
    tied = (own == others).nonzero()[:, 0]
    correct[tied] = x[tied].argmax(1) == labels[tied]
    return torch.maximum(own, others), correct


def _back(x: Tensor, rows: Tensor) -> Tensor:
    """Write x into rows, if it is not there already, and return x."""
    if x.data_ptr() != rows.data_ptr():
        rows.copy_(x)
    return x


def _exp(x: Tensor, tau: float, out: Tensor) -> Tensor:
    """Write exp(x / tau) into ``out``, for x <= 0.

    By exp2, which torch vectorises itself. Its exp comes from the processor's vendor: 30 % faster than this on a Xeon,
    three times slower on an EPYC, and a hundred times slower where the result is subnormal.
    """
    return torch.mul(x, LOG2_E / tau, out=out).exp2_()
