"""Masked sums, counts over the data-parallel group and the factors that make means of them."""

import torch
import torch.distributed as dist
from torch import Tensor


def masked_sum(values: Tensor, chosen: Tensor) -> Tensor:
    """Sum of the chosen rows; ``where`` rather than a product, so that an infinite row that is not chosen stays out."""
    return torch.where(chosen, values, 0.0).sum()


def world_size() -> int:
    """Return how many processes share the batch (1 when torch.distributed is not in use)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def global_sum(values: Tensor) -> Tensor:
    """Sum over processes, detached; the value itself when there is one process.

    Denominators go through this, so that the mean over processes of a loss equals one process with the whole batch.
    """
    values = values.detach()
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def row_scale(count: Tensor, num_items_in_batch: Tensor | float | None) -> Tensor:
    """Return the factor that turns this process's sum over rows into its share of the mean over the whole batch.

    With n processes it is n / rows: averaging over processes afterwards, as data parallelism does, divides by n.

    count        scalar, rows of this process, in the dtype that is wanted; the processes add theirs up
    num_items_in_batch  what to divide by instead, for a batch that comes in several pieces; nobody has to be asked then
    """
    if num_items_in_batch is None:
        return world_size() / global_sum(count).clamp(min=1)
    return world_size() / torch.as_tensor(num_items_in_batch, device=count.device, dtype=count.dtype).clamp(min=1)


def upcast(logits: Tensor) -> Tensor:
    """Softmaxes are computed in fp32 at least, whatever autocast made of the logits."""
    return logits if logits.dtype == torch.float64 else logits.float()
