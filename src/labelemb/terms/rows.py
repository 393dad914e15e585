"""The flattened input of a loss."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labelemb.terms.output import MixedTargets, Targets


@dataclass(frozen=True)
class Rows:
    """Flattened input of a loss. Ignored rows stay in place, neutralized: dropping them would synchronize a GPU.

    Attributes:
        hidden: Shape ``(N, D)``; zero in ignored rows, so that even their NaN has no effect.
        labels: int64, shape ``(N,)``; 0 in ignored rows.
        mask: bool, shape ``(N,)``; False in ignored rows.
        index: int64, shape ``(N,)``: number of each row's sample in the training data, where the caller gives it.
        mixed: Both labels and their weight, shape ``(N,)`` each, for mixed targets; ``labels`` is then the first.
        num_items_in_batch: Number of rows to divide by instead of ``mask.sum()`` (gradient accumulation).
        weights: Class weight of each row, shape ``(N,)``; None: all 1. A row of weight 2 counts as two rows.
    """

    hidden: Tensor
    labels: Tensor
    mask: Tensor
    index: Tensor | None = None
    mixed: MixedTargets | None = None
    num_items_in_batch: Tensor | float | None = None
    weights: Tensor | None = None

    @classmethod
    def flatten(cls, hidden: Tensor, targets: Targets, ignore_index: int) -> "Rows":
        """Flatten ``(..., D)`` and ``(...)`` and neutralize the rows whose target is ``ignore_index``."""
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

    def weighted(self, class_weights: Tensor | None) -> "Rows":
        """Return the rows with the weights of their classes.

        Each part of a mixed target has the weight of its own class: with w the weight of the first label and c the
        class weights, the row weighs ``r = w c[first] + (1 - w) c[second]`` and the first label ``w c[first] / r``.

        Args:
            class_weights: Shape ``(V,)``; None: all 1.
        """
        if class_weights is None:
            return self
        class_weights = class_weights.to(self.labels.device)
        weights = class_weights[self.labels]
        if self.mixed is None:
            return replace(self, weights=weights)
        share = self.mixed.weight
        first, second = share * weights, (1 - share) * class_weights[self.mixed.second]
        total = first + second
        mixed = replace(self.mixed, weight=torch.where(total > 0, first / total, share))
        return replace(self, weights=total, mixed=mixed)

    def sample(self, share: float, generator: torch.Generator | None = None) -> "Rows":
        """Return ``max(1, round(share * N))`` random rows, drawn without replacement; see ``subset``.

        Ignored rows are drawn like others: how many there are is known on the device only.

        Args:
            share: Share of the rows, above 0 and up to 1.
            generator: A CPU generator; None: torch's global one.

        Example:
            >>> rows = Rows.flatten(torch.zeros(8, 2), torch.arange(8), -100).sample(0.25)
            >>> rows.labels.shape, rows.weights
            (torch.Size([2]), tensor([4., 4.]))
        """
        total = len(self.labels)
        count = min(max(1, round(share * total)), total)
        return self.subset(torch.randperm(total, generator=generator)[:count].to(self.labels.device))

    def subset(self, chosen: Tensor) -> "Rows":
        """Return k of the N rows, each with N / k times its weight: a random subset has the sums of all on average.

        Args:
            chosen: int64, shape ``(k,)``, each row at most once.
        """
        dtype = torch.promote_types(self.hidden.dtype, torch.float32)
        factor = len(self.labels) / max(len(chosen), 1)
        weights = torch.full((len(chosen),), factor, dtype=dtype, device=self.labels.device)
        rows = self.take(chosen)
        return replace(rows, weights=weights if rows.weights is None else weights * rows.weights)

    def take(self, chosen: Tensor | slice) -> "Rows":
        """Return some of the rows as they are, ``num_items_in_batch`` included.

        Args:
            chosen: Their numbers, int64, shape ``(k,)``, or a slice.
        """
        mixed = self.mixed
        return Rows(
            hidden=self.hidden[chosen],
            labels=self.labels[chosen],
            mask=self.mask[chosen],
            index=None if self.index is None else self.index[chosen],
            mixed=mixed and MixedTargets(mixed.first[chosen], mixed.second[chosen], mixed.weight[chosen]),
            num_items_in_batch=self.num_items_in_batch,
            weights=None if self.weights is None else self.weights[chosen],
        )
