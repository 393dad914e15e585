"""The interface of the row kernels: what happens to a chunk's rows between its matrix products.

n rows and u distinct labels at a time, V labels. Each row is read for its statistics and then turned into its gradient
in place. Nothing else reads n x V numbers. ``TorchRowKernels`` and ``TritonRowKernels`` implement it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """What one pass over rows of logits leaves behind, shape ``(n,)`` each.

    peak and log_sum stay apart: log p = (z - peak) - log_sum keeps digits that their sum would round away.

    Attributes:
        peak: max z.
        log_sum: log sum exp(z - peak).
        log_p: log softmax(z)[y], when labels were given.
        correct: bool, whether y is the first index of the max, when labels were given.
        tempered_log_sum: log sum exp((z - peak) / tau), when a temperature was given.
        tau: That temperature.
    """

    peak: Tensor
    log_sum: Tensor
    log_p: Tensor | None = None
    correct: Tensor | None = None
    tempered_log_sum: Tensor | None = None
    tau: float = 1.0


@dataclass(frozen=True)
class BlockLabels:
    """Labels of a block of rows.

    Attributes:
        labels: int64, shape ``(n,)``.
        group: Row of each label among the chunk's distinct labels, ascending, int64, shape ``(n,)``.
    """

    labels: Tensor
    group: Tensor


class RowKernels(Protocol):
    """Softmaxes and gradients of rows. Buffers have the dtype of the matrix products; sums are fp32, or fp64 with fp64.

    A chunk goes through the kernels block by block, so that the numbers of a block stay in fast memory between calls.
    Calls that take ``stats`` follow the ``statistics`` call that made it, before that of another block.
    """

    def blocks(self, height: int) -> Iterator[slice]:
        """Cut this many rows of a chunk into blocks that are processed together."""

    def statistics(self, z: Tensor, labels: Tensor | None = None, tau: float | None = None) -> Statistics:
        """Return the statistics of logits z ``(n, V)``, with labels ``(n,)`` and a temperature where given."""

    def head_gradient(
        self, z: Tensor, stats: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Turn z1 into ``hard * (p1 - onehot y) + soft / t * (softmax(z1 / t) - q[y])``, t the temperature of stats.

        Args:
            z: Shape ``(n, V)``, overwritten.
            stats: Statistics of z.
            at: Labels of the rows.
            q: Softmax of the embedding's rows, shape ``(u, V)``; None: the soft term is off.
            weights: hard and soft.

        Returns:
            ``H(q[y], z1 / t)``, shape ``(n,)``, 0 without q; and the gradient, as z or before rounding to its dtype.
        """

    def auxiliary_gradient(self, z: Tensor, stats: Statistics, at: BlockLabels, weight: Tensor) -> Tensor:
        """Turn z2 ``(n, V)`` into ``weight * (p2 - onehot y)`` and return it as above. weight: shape ``(n,)``."""

    def add_softmax_by_label(self, z: Tensor, stats: Statistics, at: BlockLabels, mask: Tensor, sums: Tensor) -> None:
        """Add softmax(z2 / tau) of each row in the mask ``(n,)`` to its label's row of sums ``(u, V)``."""

    def embedding_gradient(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool) -> tuple[Tensor, Tensor]:
        """Turn e into ``counts * q - sums`` and sums into q = softmax(e).

        Args:
            e: Logits, shape ``(u, V)``, overwritten.
            sums: Sums of softmax(z2 / tau) over the label's rows in the mask, shape ``(u, V)``, overwritten.
            counts: How many rows these are, shape ``(u,)``.
            rectified: Whether e came out of a relu: its gradient is zero where e is.

        Returns:
            ``-sum_k sums_k log q_k``, shape ``(u,)``; and the gradient, as above.
        """
