"""What losses return, and targets that mix two labels."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossOutput:
    """What every loss returns.

    Attributes:
        loss: Scalar to call ``backward()`` on.
        terms: Name -> detached scalar as it enters the loss (weights included, 0 when off); they sum to the loss.
        correct: int scalar, rows of this process whose label the head predicts.
        count: int scalar, rows of this process; ignored rows do not count.
        logits: Detached logits of the head, shape ``(..., V)``; None where they are not materialized (chunked, fused).
        weights: Name -> weight of the term in the loss, for terms that have one.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    correct: Tensor
    count: Tensor
    logits: Tensor | None = None
    weights: dict[str, float] = field(default_factory=dict)

    @property
    def unweighted(self) -> dict[str, Tensor]:
        """Name -> value of the term without its weight, for logs; 0 where the weight is 0 or the term is off."""
        return {name: value / (self.weights.get(name) or 1.0) for name, value in self.terms.items()}

    if not TYPE_CHECKING:  # a type checker would then accept any attribute

        def __getattr__(self, name: str) -> Any:
            """Point users who take the output for a tensor to ``.loss``."""
            hint = f"; its loss has: .loss.{name}" if hasattr(Tensor, name) else ""
            raise AttributeError(f"a LossOutput has no {name!r}{hint}")


@dataclass(frozen=True)
class MixedTargets:
    """Two labels and a weight per row (mixup, CutMix): ``weight * t(first) + (1 - weight) * t(second)``.

    Attributes:
        first: int64, shape ``(...)``.
        second: int64, shape ``(...)``; an ignored row has ``ignore_index`` in both.
        weight: Weight of the first label, 0 to 1, shape ``(...)``.
    """

    first: Tensor
    second: Tensor
    weight: Tensor

    @property
    def heavier(self) -> Tensor:
        """The label with the larger weight in each row, shape ``(...)``; the first where both weigh the same."""
        return torch.where(self.weight >= 0.5, self.first, self.second)


Targets = Tensor | MixedTargets
