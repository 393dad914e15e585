"""A scalar whose gradients were computed along with it: the backward pass only scales them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from labelemb.errors import ConfigError


def attach(total: Tensor, tensors: Sequence[Tensor], gradients: Sequence[tuple[Tensor, Tensor] | None]) -> Tensor:
    """Return ``total`` with the given gradients; the tensors' own values take no part.

    total      scalar
    tensors    what the gradients belong to
    gradients  (gradient, scalar factor) of each tensor, or None where it needs none. The factor is multiplied in last,
               in the dtype of the gradient, which may be wider than the tensor's. The backward pass overwrites them.

    A second backward pass, or one with create_graph=True, raises ConfigError.
    """
    return _Computed.apply(total, list(gradients), *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _Computed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, gradients: list[tuple[Tensor, Tensor] | None], *tensors: Tensor) -> Tensor:
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
            None if entry is None else entry[0].mul_(entry[1] * upstream[0]).to(dtype)
            for entry, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return None, None, *scaled
