"""Masked sums, counts over the data-parallel group, and the factors that turn sums over rows into terms."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from labelemb.functional import TERMS
from labelemb.terms.objective import Objective
from labelemb.terms.rows import Rows

Group = Any  # torch.distributed.ProcessGroup, which builds of torch without torch.distributed lack
SINGLE_PROCESS: Group = object()  # no data parallelism, where None would mean the default group


def masked_sum(values: Tensor, mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the sum of the rows in the mask, each times its weight.

    ``where``, not a product: an infinite ignored row must not become NaN.

    Args:
        values: Shape ``(N,)``.
        mask: bool, shape ``(N,)``.
        weights: ``Rows.weights``, shape ``(N,)``; None: all 1.
    """
    kept = torch.where(mask, values, 0.0)
    return kept.sum() if weights is None else (kept * weights).sum()


def total_weight(mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the number of rows in the mask or, with weights, their total weight; scalar."""
    return mask.sum() if weights is None else torch.where(mask, weights, 0.0).sum()


def world_size(group: Group = None) -> int:
    """Return the number of processes that share the batch; 1 when torch.distributed is not initialized."""
    if group is SINGLE_PROCESS:
        return 1
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def global_sum(values: Tensor, group: Group = None) -> Tensor:
    """Return the sum over the processes of the group (None: the default group), detached.

    Denominators are such sums, so that the mean over processes of a loss equals one process with the whole batch.
    """
    values = values.detach()
    if world_size(group) > 1:
        values = values.clone()
        dist.all_reduce(values, group=group)
    return values


def row_scale(rows: Rows, dtype: torch.dtype, group: Group = None) -> Tensor:
    """Return the factor from this process's sum over rows to its share of the mean over the whole batch.

    With n processes it is n / rows: data parallelism averages over processes afterwards, which divides by n. Weighted
    rows count as often as they weigh.

    Returns:
        Scalar of the given dtype.
    """
    count, whole = total_weight(rows.mask, rows.weights).to(dtype), rows.num_items_in_batch
    if whole is None:
        count = global_sum(count, group)
    else:
        count = torch.as_tensor(whole, device=count.device, dtype=count.dtype)
    return world_size(group) / torch.where(count > 0, count, 1.0)


def upcast(logits: Tensor) -> Tensor:
    """Return the logits in fp32, or in fp64 if they are: softmaxes are never computed in half precision."""
    return logits if logits.dtype == torch.float64 else logits.float()


@dataclass(frozen=True)
class TermWeights:
    """Factors from the sums over this process's rows to the five terms as they enter the loss.

    Attributes:
        row: Scalar factor of hard, soft and aux (and, in the token reduction, of embedding), before their weights.
        cap: Scalar factor of the cap.
        objective: Gives the weights of hard and soft and the names of the terms in use.
        group: Processes that share the batch.
    """

    row: Tensor
    cap: Tensor
    objective: Objective
    group: Group = None

    @classmethod
    def of(cls, rows: Rows, objective: Objective, dtype: torch.dtype, group: Group = None) -> "TermWeights":
        """Compute the factors; asks the group for its number of rows unless ``rows.num_items_in_batch`` is given."""
        row = row_scale(rows, dtype, group)
        cap = torch.full_like(row, world_size(group)) if objective.reduction == "mean" else row
        return cls(row, cap, objective, group)

    def without(self, *names: str) -> "TermWeights":
        """Return the same factors for an objective without the named terms."""
        return replace(self, objective=self.objective.without(*names))

    def embedding(self, learnable: Tensor) -> Tensor:
        """Return the factor of the embedding term.

        Args:
            learnable: Total weight of the rows whose label the auxiliary head predicts, scalar.
        """
        if self.objective.reduction == "mean" and "embedding" in self.objective.terms:
            return world_size(self.group) / (global_sum(learnable.to(self.row.dtype), self.group) + 1e-8)
        return self.row

    def weigh(
        self, sums: Mapping[str, Tensor], embedding: Tensor, hard_without_soft: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return each term as it enters the loss, 0 where it is off.

        Args:
            sums: Name -> sum over the rows of this process, scalar; at least for the terms in use.
            embedding: Factor of the embedding term.
            hard_without_soft: Sum of the hard term over rows without a soft label, where it has the weight of the soft
                term as well; None: there are no such rows.
        """
        weights = self.objective.weights
        factors = {
            "hard": weights["hard"] * self.row,
            "soft": weights["soft"] * self.row,
            "aux": self.row,
            "embedding": embedding,
            "cap": self.cap,
        }
        zero = torch.zeros_like(self.row)
        values = {name: factors[name] * sums[name] if name in self.objective.terms else zero for name in TERMS}
        if hard_without_soft is not None and {"hard", "soft"} <= self.objective.terms:
            values["hard"] = values["hard"] + self.objective.soft_weight * self.row * hard_without_soft
        return values
