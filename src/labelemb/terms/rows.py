"""Flattened input of a loss."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Flattened input of a loss. Ignored rows stay in place, neutralised: dropping them would synchronise a GPU.

    hidden   (N, D), zero in ignored rows, so that even their NaN goes nowhere
    labels   (N,) int64, 0 in ignored rows
    mask  (N,) bool, False in ignored rows
    index    (N,) int64, which sample each row is, where the caller says so
    """

    hidden: Tensor
    labels: Tensor
    mask: Tensor
    index: Tensor | None = None

    @classmethod
    def of(cls, hidden: Tensor, targets: Tensor, ignore_index: int, index: Tensor | None = None) -> "Rows":
        """Flatten (..., D) and (...) and neutralise the rows whose target is ``ignore_index``."""
        labels = targets.reshape(-1)
        mask = labels != ignore_index
        flat = hidden.reshape(-1, hidden.shape[-1])
        return cls(
            hidden=torch.where(mask[:, None], flat, 0.0),
            labels=torch.where(mask, labels, 0),
            mask=mask,
            index=None if index is None else index.reshape(-1),
        )
