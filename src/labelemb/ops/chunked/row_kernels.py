"""The interface of the row kernels: what happens to a chunk's rows between its matrix products.

n rows and u distinct labels at a time, V labels. Each row is read for its statistics and then turned into its gradient
in place. Nothing else reads n x V numbers. ``TorchRowKernels``, ``NativeRowKernels`` and ``TritonRowKernels`` implement
it.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Logits:
    """Some rows of logits, that their gradient replaces.

    Attributes:
        values: Shape ``(n, V)``, contiguous, dtype of the matrix products. Without gradient left in an undefined state.
        trains: Whether the gradient is wanted.
        columns: The gradient's column sums are added to it, before the gradient is rounded to the dtype of ``values``
            where the kernels can; shape ``(V,)``, dtype of the sums; None: not wanted.
        bias: Added to the values first, for kernels that do so; shape ``(V,)``, dtype of the sums.
    """

    values: Tensor
    trains: bool
    columns: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True)
class RowLabels:
    """Labels of some rows.

    Attributes:
        labels: int64, shape ``(n,)``.
        group: Row of each label among the chunk's distinct labels, ascending, int64, shape ``(n,)``.
        weights: Factor of each row's gradient, dtype of the sums, shape ``(n,)``; None: all 1.
    """

    labels: Tensor
    group: Tensor
    weights: Tensor | None = None

    def __getitem__(self, rows: slice) -> "RowLabels":
        """Return those of a range of the rows."""
        return RowLabels(self.labels[rows], self.group[rows], None if self.weights is None else self.weights[rows])


class RowResults(NamedTuple):
    """Dtype of the sums, shape ``(n,)`` each, without the rows' weights.

    Attributes:
        log_p: log softmax(z)[y].
        correct: bool, whether y is the first index of the largest logit.
        soft: H(q[y], z / t); None without a soft term.
    """

    log_p: Tensor
    correct: Tensor
    soft: Tensor | None = None


@dataclass(frozen=True)
class AuxiliaryTerms:
    """The terms of the auxiliary head.

    Attributes:
        aux: Whether the term aux is in use.
        cap: Weight of the term cap, scalar; None where it is not in use.
        alpha: Its limit of p2[y].
        absolute: Whether it is the absolute value of p2[y] - alpha, instead of max(p2[y] - alpha, 0).
        tau: Temperature of the softmax that the embedding learns from.
    """

    aux: bool
    cap: Tensor | None
    alpha: float
    absolute: bool
    tau: float

    def weight(self, log_p: Tensor) -> Tensor:
        """Return the factor w of the gradient ``w * (p2 - onehot y)``, shape ``(n,)``.

        The gradient of the cap, ``c * p2[y] * (p2 - onehot y)`` with c = -1, 0 or 1, is a multiple of the cross
        entropy's. log_p: log p2[y], shape ``(n,)``.
        """
        p = log_p.exp()
        weight = torch.ones_like(p) if self.aux else torch.zeros_like(p)
        if self.cap is not None:
            excess = p - self.alpha
            slope = excess.sign() if self.absolute else (excess > 0).to(p.dtype)
            weight -= self.cap * slope * p
        return weight


@dataclass(frozen=True)
class HeadTerms:
    """Weights of the terms hard and soft, and the temperature t of the soft term."""

    hard: float
    soft: float
    temperature: float


class RowKernels(Protocol):
    """Softmaxes and gradients of rows. Logits have the dtype of the matrix products; sums are fp32, or fp64 with fp64.

    Attributes:
        adds_bias: Whether the kernels can add the bias and rectify a label embedding, which saves passes over the
            logits. Others get logits that have it.
    """

    adds_bias: bool

    def auxiliary(self, logits: Logits, at: RowLabels, terms: AuxiliaryTerms, sums: Tensor | None) -> RowResults:
        """Turn z2 into ``w * (p2 - onehot y)``, w of ``terms``, and sum the predictions that the embedding learns from.

        Args:
            logits: z2.
            at: Labels of the rows.
            terms: Terms in use.
            sums: softmax(z2 / tau) of each correct row is added to its label's row, shape ``(u, V)``; None: not wanted.
        """

    def head(self, logits: Logits, at: RowLabels, terms: HeadTerms, q: Tensor | None) -> RowResults:
        """Turn z1 into ``hard * (p1 - onehot y) + soft / t * (softmax(z1 / t) - q[y])``.

        Args:
            logits: z1.
            at: Labels of the rows.
            terms: Weights and temperature.
            q: Softmax of the embedding's rows, shape ``(u, V)``; None: the soft term is off.
        """

    def embedding(self, logits: Logits, sums: Tensor, counts: Tensor, rectified: bool) -> Tensor:
        """Turn e into ``counts * q - sums`` and sums into q = softmax(e).

        Args:
            logits: e, shape ``(u, V)``.
            sums: Sums of softmax(z2 / tau) over the label's correct rows, shape ``(u, V)``.
            counts: How many rows these are, shape ``(u,)``.
            rectified: Whether e comes out of a relu: its gradient is zero where e is.

        Returns:
            ``-sum_k sums_k log q_k``, shape ``(u,)``.
        """
