"""The labels of a process that a call computes, as columns of its logits."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ShapeError
from labelemb.terms.collectives import locate
from labelemb.terms.reduction import upcast
from labelemb.terms.shard import LabelShard, is_dtensor


@dataclass(frozen=True)
class Columns:
    """The labels of this process that a call computes: all of them, or those of the batch and a sample of the others.

    Attributes:
        shard: The labels of this process.
        chosen: int64, shape ``(C,)``, ascending: local numbers of the columns; None: all.
        weights: Shape ``(C,)``, the inverse of each column's probability to be chosen; None: all 1.
    """

    shard: LabelShard
    chosen: Tensor | None = None
    weights: Tensor | None = None

    @classmethod
    def of(cls, shard: LabelShard, labels: Tensor, sample: bool) -> "Columns":
        """Return all columns, or where the shard says so and ``sample`` is True those of the batch and a sample."""
        if not sample or shard.sampled == 1:
            return cls(shard)
        index, here = locate(labels, shard)
        others = torch.ones(shard.size, dtype=torch.bool, device=labels.device)
        others[index[here]] = False
        positive, negative = (~others).nonzero()[:, 0], others.nonzero()[:, 0]
        wanted = max(round(shard.sampled * shard.size) - len(positive), min(len(negative), 1))
        with shard.fork_rng():
            drawn = torch.randperm(len(negative))[:wanted].to(labels.device)
        chosen, order = torch.cat([positive, negative[drawn]]).sort()
        inverse = len(negative) / max(len(drawn), 1)
        weights = torch.where(order < len(positive), 1.0, inverse)
        return cls(shard, chosen, weights)

    def find(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return each label's column, 0 where it is on another process, and whether it is here."""
        index, here = locate(labels, self.shard)
        if self.chosen is not None:
            index = torch.where(here, torch.searchsorted(self.chosen, index), 0)
        return index, here

    def labels_of(self, columns: Tensor) -> Tensor:
        """Return the label of each of these columns."""
        return (columns if self.chosen is None else self.chosen[columns]) + self.shard.start

    def logits(self, layer: nn.Module, hidden: Tensor) -> Tensor:
        """Return a layer's logits of the columns, ``(N, C)``, fp32 or wider; the layer may hold ``DTensor``s.

        Raises:
            ShapeError: For a ``DTensor`` that is not split like the labels.
        """
        if self.chosen is None and not is_dtensor(layer.weight):
            return upcast(layer(hidden))
        weight, bias = (self._local(getattr(layer, name, None)) for name in ("weight", "bias"))
        assert weight is not None
        return upcast(F.linear(hidden, weight, bias))

    def _local(self, tensor: Any) -> Tensor | None:
        if tensor is None:
            return None
        local: Tensor = local_part(tensor, self.shard) if is_dtensor(tensor) else tensor
        return local if self.chosen is None else local[self.chosen]


def local_part(tensor: Any, shard: LabelShard) -> Tensor:
    """Return the local part of a ``DTensor`` that is split by label.

    Raises:
        ShapeError: Where it is split in another way.
    """
    local: Tensor = tensor.to_local()
    if not all(placement.is_shard(0) for placement in tensor.placements) or len(local) != shard.size:
        expected = f"a DTensor split by label, {shard.size} on this process"
        raise ShapeError("head.weight", expected, f"{list(tensor.placements)}, {len(local)} labels")
    return local
