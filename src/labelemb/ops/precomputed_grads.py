"""A scalar whose gradients were computed along with its value: the backward pass only scales them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labelemb.errors import ConfigError

ROWS_PER_BLOCK = 64


@dataclass(frozen=True)
class Gradient:
    """A gradient up to a scalar factor, which is multiplied in last, in its own dtype (maybe wider than the tensor's).

    Attributes:
        values: In the shape of the tensor that it belongs to; the backward pass overwrites it.
        factor: Scalar.
        rows: Indices of the rows that are not zero, each once, where only few are; None: any row may be non-zero.
    """

    values: Tensor
    factor: Tensor
    rows: Tensor | None = None

    def times(self, upstream: Tensor) -> Tensor:
        """Return values * factor * upstream, in place."""
        scale = self.factor * upstream
        if self.rows is None:
            return self.values.mul_(scale)
        for rows in torch.split(self.rows, ROWS_PER_BLOCK):
            self.values[rows] *= scale
        return self.values


def with_precomputed_grads(total: Tensor, tensors: Sequence[Tensor], gradients: Sequence[Gradient | None]) -> Tensor:
    """Return ``total`` as a node of the autograd graph with the given gradients.

    Args:
        total: Scalar.
        tensors: The inputs of the node; their values are not used.
        gradients: The gradient of each tensor, or None where it needs none.

    Raises:
        ConfigError: At a second backward pass, or at one with ``create_graph=True``.
    """
    return _PrecomputedGrads.apply(total, list(gradients), *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _PrecomputedGrads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, gradients: list[Gradient | None], *tensors: Tensor) -> Tensor:
        ctx.gradients = gradients
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise ConfigError("create_graph", "False (no second derivatives)", True, "impl='eager' has them")
        if ctx.gradients is None:
            raise ConfigError("backward()", "one call per forward pass", "a second one", "impl='eager' allows it")
        gradients, ctx.gradients = ctx.gradients, None
        scaled = [
            None if gradient is None else gradient.times(upstream[0]).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return None, None, *scaled
