"""What the loop asks of a task. Whatever fits these protocols trains, saves, resumes and scales."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from labelemb.losses.base import Loss
from labelemb.runs import RunFolder
from labelemb.terms.output import Targets


@dataclass(frozen=True)
class Shard:
    """A process's share of each batch: every ``count``-th row from ``index`` on, cut into micro-batches.

    Shares may be uneven or empty: the losses divide by global counts.
    """

    index: int = 0
    count: int = 1
    gradient_accumulation_steps: int = 1

    def pieces(self, rows: Tensor) -> list[Tensor]:
        """Cut the rows (N,) of a batch: this process's part, in ``gradient_accumulation_steps`` pieces."""
        mine = rows[self.index :: self.count]
        return (
            list(torch.tensor_split(mine, self.gradient_accumulation_steps))
            if self.gradient_accumulation_steps > 1
            else [mine]
        )


class Batch(Protocol):
    """A micro-batch on the device.

    inputs   what the model is called with
    targets  what the loss is called with: the labels, or ``MixedTargets``
    labels   int64, shaped like the hidden state without its last axis; ``ignore_index`` of the loss where no row is
    index    int64, which training sample each row is, for losses that remember samples; None where nothing counts them
    size     how many units (images, words) it holds
    """

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Return the arguments of the model."""
        ...

    @property
    def targets(self) -> Targets:
        """Return what the loss is called with."""
        ...

    @property
    def labels(self) -> Tensor:
        """Return one label a row."""
        ...

    @property
    def index(self) -> Tensor | None:
        """Return the numbers of the samples."""
        ...

    @property
    def size(self) -> int:
        """Return the number of units."""
        ...


class Task(Protocol):
    """Model, loss and data of one run.

    model            ``model(*batch.inputs)`` returns the hidden state in front of ``model.head``, an nn.Linear
    loss             ``loss(hidden, head, targets, num_items_in_batch, index)`` returns total, terms, correct, count
                     (LossOutput); ``loss.step()`` follows each optimiser step, ``loss.epoch_end()`` the last one
                     of an epoch, ``loss.sync()`` precedes each checkpoint, in all processes
    unit             what ``Batch.size`` counts, "images" say
    steps_per_epoch  batches of one pass over the training data
    ignore_index     target of rows that are not rows
    """

    model: nn.Module
    loss: Loss
    unit: str
    steps_per_epoch: int
    ignore_index: int

    def setup(self, device: torch.device) -> None:
        """Get the data ready for that device; the loop moves model and loss itself."""
        ...

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[Sequence[Batch]]:
        """Yield the batches of an epoch from number ``start`` on, each as the micro-batches of that share."""
        ...

    def evaluate(self, model: nn.Module, shard: Shard, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Return the figures of a history line; ``total`` sums a tensor of counts over the processes."""
        ...

    def save_artifacts(self, run: RunFolder) -> None:
        """Write what the run leaves besides its checkpoint: the label embedding, where there is one."""
        ...
