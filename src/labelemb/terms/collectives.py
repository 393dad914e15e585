"""Collectives over the processes that hold the labels, with their gradients.

Every process of the group computes the same loss of the same rows. A value that all processes share has the same
gradient on each of them; what each process does with its own labels adds to the gradient of what entered it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from labelemb.terms.shard import LabelShard


def sum_over_processes(values: Tensor, shard: LabelShard) -> Tensor:
    """All-reduce forward, identity backward: the result is used in the same way on every process."""
    result: Tensor = _Sum.apply(values, shard)  # type: ignore[no-untyped-call]
    return result


def copy_to_processes(values: Tensor, shard: LabelShard) -> Tensor:
    """Identity forward, all-reduce backward: each process uses the values for its own labels."""
    result: Tensor = _Copy.apply(values, shard)  # type: ignore[no-untyped-call]
    return result


def max_over_processes(values: Tensor, shard: LabelShard) -> Tensor:
    """Return the largest value of the processes, elementwise, without gradient."""
    return _all_reduce(values, shard, largest=True)


def locate(labels: Tensor, shard: LabelShard) -> tuple[Tensor, Tensor]:
    """Return labels as local indices, 0 where another process holds them, and whether this one does."""
    here = (labels >= shard.start) & (labels < shard.stop)
    return torch.where(here, labels - shard.start, 0), here


def distributed_rows(weight: Tensor, labels: Tensor, shard: LabelShard) -> Tensor:
    """Return rows of a matrix that is split by row: each process holds those of its labels.

    Only the rows of distinct labels are sent, forward and backward.

    Args:
        weight: This process's rows, shape ``(shard.size, R)``.
        labels: int64, shape ``(K,)``, the same on every process.
        shard: The labels of this process.

    Returns:
        Shape ``(K, R)``, the same on every process.
    """
    distinct, inverse = torch.unique(labels, return_inverse=True)
    index, here = locate(distinct, shard)
    rows = F.embedding(index, weight) if shard.size else weight.sum() + weight.new_zeros(len(index), weight.shape[1])
    rows = torch.where(here[:, None], rows, 0.0)
    return F.embedding(inverse, copy_to_processes(sum_over_processes(rows, shard), shard))


def _all_reduce(values: Tensor, shard: LabelShard, *, largest: bool = False) -> Tensor:
    values = values.detach().clone(memory_format=torch.contiguous_format)
    if shard.processes > 1:
        dist.all_reduce(values, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM, group=shard.group)
    return values


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, shard: LabelShard) -> Tensor:
        return _all_reduce(values, shard)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, shard: LabelShard) -> Tensor:
        ctx.shard = shard
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _all_reduce(gradient, ctx.shard), None
