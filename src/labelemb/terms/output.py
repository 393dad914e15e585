"""What losses return, and targets that are a mix of two labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossOutput:
    """What every loss returns.

    loss     scalar to call ``backward()`` on
    terms    name -> detached scalar, as it enters the total (weights included; 0 when off): their sum is the total
    correct  int scalar, rows of this process that ``head`` predicts right
    count    int scalar, rows of this process; an ignored row is not a row
    """

    loss: Tensor
    terms: dict[str, Tensor]
    correct: Tensor
    count: Tensor

    if not TYPE_CHECKING:  # which would then take any attribute for one that is there

        def __getattr__(self, name: str) -> Any:
            """Tell who takes it for a tensor what to ask instead."""
            hint = f"; its total has: .loss.{name}" if hasattr(Tensor, name) else ""
            raise AttributeError(f"a LossOutput has no {name!r}{hint}")


@dataclass(frozen=True)
class MixedTargets:
    """Two labels and a weight per row: the target is weight * t(first) + (1 - weight) * t(second).

    first, second  (...) int64; an ignored row has ``ignore_index`` in both
    weight         (...) float, 0..1
    """

    first: Tensor
    second: Tensor
    weight: Tensor

    @property
    def heavier(self) -> Tensor:
        """Return the label of each row that weighs more, (...); the first one where they weigh the same."""
        return torch.where(self.weight >= 0.5, self.first, self.second)


Targets = Tensor | MixedTargets
