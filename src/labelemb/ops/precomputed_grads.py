"""A scalar whose gradients were computed along with it: the backward pass only scales them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labelemb.errors import ConfigError

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Gradient:
    """A gradient but for a factor, which is multiplied in last, in its own dtype (it may be wider than the tensor's).

    values  in the shape of the tensor that they belong to; the backward pass overwrites them
    factor  scalar
    rows    the rows that are not zero, each once, where only few are; the others are then left untouched
    """

    values: Tensor
    factor: Tensor
    rows: Tensor | None = None

    def times(self, upstream: Tensor) -> Tensor:
        """Return values * factor * upstream, in place."""
        scale = self.factor * upstream
        if self.rows is None:
            return self.values.mul_(scale)
        for rows in torch.split(self.rows, ROWS_AT_ONCE):
            self.values[rows] *= scale
        return self.values


def with_precomputed_grads(total: Tensor, tensors: Sequence[Tensor], gradients: Sequence[Gradient | None]) -> Tensor:
    """Return ``total`` with the given gradients; the tensors' own values take no part.

    total      scalar
    tensors    what the gradients belong to
    gradients  that of each tensor, or None where it needs none

    A second backward pass, or one with create_graph=True, raises ConfigError.
    """
    return _Computed.apply(total, list(gradients), *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _Computed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, gradients: list[Gradient | None], *tensors: Tensor) -> Tensor:
        ctx.gradients = gradients
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise ConfigError("create_graph", "False: here are no second derivatives", True, "impl='eager' has them")
        if ctx.gradients is None:
            raise ConfigError(
                "backward()", "one call per forward pass", "a second one", "impl='eager' can keep its graph"
            )
        gradients, ctx.gradients = ctx.gradients, None
        scaled = [
            None if gradient is None else gradient.times(upstream[0]).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return None, None, *scaled
