"""Row kernels in plain torch calls, for any device: a few rows at a time, so that they stay in the caches.

n rows and u distinct labels at a time, V labels.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, Logits, RowLabels, RowResults

LOG2_E = 1 / math.log(2)
CPU_BLOCK_BYTES = 1 << 19  # of fp32 per scratch buffer: small enough for the caches, large enough to keep calls few
GPU_BLOCK_BYTES = 1 << 25


class TorchRowKernels:
    """See ``RowKernels``. Scratch keeps what a block's gradients need: each exponential is computed once."""

    adds_bias = False

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32 or float64."""
        block = CPU_BLOCK_BYTES if device.type == "cpu" else GPU_BLOCK_BYTES
        self._height = max(1, block // (num_labels * dtype.itemsize))
        scratch = torch.empty(3, self._height, num_labels, dtype=dtype, device=device)
        self._shifted, self._powers, self._tempered = scratch.unbind()  # z - peak; exp of it; exp of it / tau

    def auxiliary(self, logits: Logits, at: RowLabels, terms: AuxiliaryTerms, sums: Tensor | None) -> RowResults:
        """See RowKernels."""
        z = logits.values
        results = self._empty_results(z)
        for block in self._blocks(len(z)):
            rows, block_at = z[block], at[block]
            log_sum, log_p, correct = self._classify(rows, block_at.labels)
            results.log_p[block], results.correct[block] = log_p, correct
            if sums is not None:
                scale = correct * self._temper(len(rows), terms.tau).neg().exp_()
                sums.index_add_(0, block_at.group, self._tempered[: len(rows)].mul_(scale[:, None]))
            if logits.trains:
                weight = _weighted(terms.weight(log_p), block_at)
                gradient = self._scaled(rows, weight * log_sum.neg().exp_())
                gradient.scatter_add_(1, block_at.labels[:, None], -weight[:, None])
                _finish(gradient, rows, logits.columns)
        return results

    def head(self, logits: Logits, at: RowLabels, terms: HeadTerms, q: Tensor | None) -> RowResults:
        """See RowKernels."""
        z = logits.values
        results = self._empty_results(z)
        if q is not None:
            results = results._replace(soft=torch.empty_like(results.log_p))
        for block in self._blocks(len(z)):
            rows, block_at = z[block], at[block]
            log_sum, log_p, correct = self._classify(rows, block_at.labels)
            results.log_p[block], results.correct[block] = log_p, correct
            if results.soft is None:
                factor = terms.hard * log_sum.neg().exp_()
            else:
                assert q is not None
                results.soft[block], factor = self._soft(log_sum, q, block_at.group, terms)
            if logits.trains:
                gradient = self._scaled(rows, _weighted(factor, block_at))
                if q is not None:
                    target = _weighted(self._tempered[: len(rows)], block_at)
                    gradient.sub_(target, alpha=terms.soft / terms.temperature)
                onehot = _weighted(torch.full_like(log_p, -terms.hard), block_at)
                gradient.scatter_add_(1, block_at.labels[:, None], onehot[:, None])
                _finish(gradient, rows, logits.columns)
        return results

    def embedding(self, logits: Logits, sums: Tensor, counts: Tensor, rectified: bool) -> Tensor:
        """See RowKernels."""
        e, values = logits.values, torch.empty_like(counts)
        for block in self._blocks(len(e)):
            rows, block_sums, block_counts = e[block], sums[block], counts[block]
            shifted, powers, scratch = (buffer[: len(rows)] for buffer in (self._shifted, self._powers, self._tempered))
            x = self._wide(rows)
            log_sum = self._exponentials(x, x.amax(1))
            values[block] = block_counts * log_sum - torch.mul(block_sums, shifted, out=scratch).sum(1)
            inverse = log_sum.neg().exp_()
            gradient = torch.mul(powers, (block_counts * inverse)[:, None], out=shifted).sub_(block_sums)
            if rectified:
                gradient.mul_(rows > 0)
            torch.mul(powers, inverse[:, None], out=block_sums)
            _finish(gradient, rows, logits.columns)
        return values

    def _blocks(self, height: int) -> Iterator[slice]:
        return (slice(start, min(start + self._height, height)) for start in range(0, height, self._height))

    def _empty_results(self, z: Tensor) -> RowResults:
        log_p = torch.empty(len(z), dtype=self._powers.dtype, device=z.device)
        return RowResults(log_p, torch.empty_like(log_p, dtype=torch.bool))

    def _classify(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log sum exp(z - max), log softmax(z)[y] and whether y is predicted; scratch as ``_exponentials``."""
        x = self._wide(z)
        peak, correct = _peak_and_correct(x, labels)
        log_sum = self._exponentials(x, peak)
        return log_sum, self._shifted[: len(z)].gather(1, labels[:, None])[:, 0] - log_sum, correct

    def _exponentials(self, x: Tensor, peak: Tensor) -> Tensor:
        """Return log sum exp(x - peak); scratch holds x - peak and its exponentials.

        The two stay apart: log p = (x - peak) - log_sum keeps digits that their sum would round away.
        """
        torch.sub(x, peak[:, None], out=self._shifted[: len(x)])
        return _exp(self._shifted[: len(x)], 1.0, out=self._powers[: len(x)]).sum(1).log_()

    def _temper(self, height: int, tau: float) -> Tensor:
        """Return log sum exp((z - peak) / tau); scratch holds these exponentials."""
        return _exp(self._shifted[:height], tau, out=self._tempered[:height]).sum(1).log_()

    def _soft(self, log_sum: Tensor, q: Tensor, group: Tensor, terms: HeadTerms) -> tuple[Tensor, Tensor]:
        """Return H(q[y], z / t), and the factor of the exponentials in the gradient; scratch holds q[y].

        With t other than 1, exponentials become those of the whole gradient, and the factor 1.
        """
        shifted, powers, scratch = (buffer[: len(log_sum)] for buffer in (self._shifted, self._powers, self._tempered))
        inverse, t = log_sum.neg().exp_(), terms.temperature
        if t == 1:
            factor = (terms.hard + terms.soft) * inverse
        else:
            log_sum = self._temper(len(log_sum), t)
            scratch.mul_((terms.soft / t * log_sum.neg().exp_())[:, None])
            powers.mul_((terms.hard * inverse)[:, None]).add_(scratch)
            factor = torch.ones_like(log_sum)
        target = torch.index_select(q, 0, group, out=scratch)
        return log_sum - shifted.mul_(target).sum(1) / t, factor

    def _scaled(self, z: Tensor, scale: Tensor) -> Tensor:
        """Return scale * exp(z - peak), in z itself where z has the dtype of the sums. scale (n,)."""
        powers = self._powers[: len(z)]
        return torch.mul(powers, scale[:, None], out=z if z.dtype == powers.dtype else powers)

    def _wide(self, rows: Tensor) -> Tensor:
        """Return the rows in the dtype of the sums: themselves where they have it already, else in scratch."""
        powers = self._powers[: len(rows)]
        return rows if rows.dtype == powers.dtype else powers.copy_(rows)


def _weighted(values: Tensor, at: RowLabels) -> Tensor:
    """Return values of rows, shape ``(n,)`` or, in place, ``(n, V)``, times the rows' weights, where they have any."""
    if at.weights is None:
        return values
    return values * at.weights if values.dim() == 1 else values.mul_(at.weights[:, None])


def _finish(gradient: Tensor, rows: Tensor, columns: Tensor | None) -> None:
    """Add the gradient to the column sums, while it is in the caches, and write it to rows if it is not there."""
    if columns is not None:
        columns.add_(gradient.sum(0))
    if gradient.data_ptr() != rows.data_ptr():
        rows.copy_(gradient)


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


def _exp(x: Tensor, tau: float, out: Tensor) -> Tensor:
    """Write exp(x / tau) into ``out``, for x <= 0.

    By exp2, which torch vectorizes itself. Its exp comes from the processor's vendor: 30 % faster than this on a Xeon,
    three times slower on an EPYC, and a hundred times slower where the result is subnormal.
    """
    return torch.mul(x, LOG2_E / tau, out=out).exp2_()
