"""The flattened input of a loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.terms.output import MixedTargets, Targets


@dataclass(frozen=True)
class Rows:
    """Flattened input of a loss. Ignored rows stay in place, neutralised: dropping them would synchronise a GPU.

    Attributes:
        hidden: Shape ``(N, D)``; zero in ignored rows, so that even their NaN has no effect.
        labels: int64, shape ``(N,)``; 0 in ignored rows.
        mask: bool, shape ``(N,)``; False in ignored rows.
        index: int64, shape ``(N,)``: number of each row's sample in the training data, where the caller gives it.
        mixed: Both labels and their weight, shape ``(N,)`` each, for mixed targets; ``labels`` is then the first.
        num_items_in_batch: Number of rows to divide by instead of ``mask.sum()`` (gradient accumulation).
    """

    hidden: Tensor
    labels: Tensor
    mask: Tensor
    index: Tensor | None = None
    mixed: MixedTargets | None = None
    num_items_in_batch: Tensor | float | None = None

    @classmethod
    def flatten(cls, hidden: Tensor, targets: Targets, ignore_index: int) -> "Rows":
        """Flatten ``(..., D)`` and ``(...)`` and neutralise the rows whose target is ``ignore_index``."""
        first = targets.first if isinstance(targets, MixedTargets) else targets
        labels = first.reshape(-1)
        mask = labels != ignore_index
        labels = torch.where(mask, labels, 0)
        mixed = None
        if isinstance(targets, MixedTargets):
            second = torch.where(mask, targets.second.reshape(-1), 0)
            mixed = MixedTargets(labels, second, torch.where(mask, targets.weight.reshape(-1), 0))
        flat = hidden.reshape(-1, hidden.shape[-1])  # (N, D)
        return cls(hidden=torch.where(mask[:, None], flat, 0.0), labels=labels, mask=mask, mixed=mixed)
