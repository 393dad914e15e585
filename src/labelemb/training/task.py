"""The interface between the training loop and a task: ``Task``, ``Batch`` and ``Shard``."""

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
    """The rows of each batch that a process trains on: every ``count``-th from ``index`` on, in micro-batches.

    Shards may be uneven or empty: the losses divide by global counts.

    Args:
        index: Rank of the process.
        count: Number of processes.
        gradient_accumulation_steps: Micro-batches per batch.
    """

    index: int = 0
    count: int = 1
    gradient_accumulation_steps: int = 1

    def pieces(self, rows: Tensor) -> list[Tensor]:
        """Return this process's rows of a batch, shape ``(N,)``, as ``gradient_accumulation_steps`` micro-batches."""
        mine = rows[self.index :: self.count]
        steps = self.gradient_accumulation_steps
        return list(torch.tensor_split(mine, steps)) if steps > 1 else [mine]


class Batch(Protocol):
    """A micro-batch on the device."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Arguments of the model."""
        ...

    @property
    def targets(self) -> Targets:
        """Targets of the loss: the labels, or ``MixedTargets``."""
        ...

    @property
    def labels(self) -> Tensor:
        """Labels, int64, of the shape of the hidden state without its last axis; ``ignore_index`` for padding."""
        ...

    @property
    def index(self) -> Tensor | None:
        """Index of each row's training example, int64, of the shape of ``labels``; None if examples have no index."""
        ...

    @property
    def size(self) -> int:
        """Number of units (``Task.unit``), such as images or words."""
        ...


class Task(Protocol):
    """Model, loss and data of a run.

    Attributes:
        model: ``model(*batch.inputs)`` returns the hidden state in front of ``model.head``, an ``nn.Linear``.
        loss: A loss of the library. The loop attaches it to the optimizer, calls ``epoch_end()`` after each epoch and
            ``sync()`` before each checkpoint, on all processes.
        unit: What ``Batch.size`` counts, such as "images".
        steps_per_epoch: Number of batches of an epoch.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
    """

    model: nn.Module
    loss: Loss
    unit: str
    steps_per_epoch: int
    ignore_index: int

    def setup(self, device: torch.device) -> None:
        """Prepare the data for the device; the loop moves model and loss."""
        ...

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[Sequence[Batch]]:
        """Yield the batches of an epoch from batch ``start`` on, each as the micro-batches of the shard."""
        ...

    def evaluate(
        self, model: nn.Module, shard: Shard, total: Callable[[Tensor], Tensor], last: bool = True
    ) -> Mapping[str, float]:
        """Return the metrics of a history line.

        Args:
            model: The model, without wrappers, in ``eval()`` mode.
            shard: The rows that this process evaluates.
            total: Sums a tensor over the processes.
            last: Whether the run ends here; test data may be left out before.
        """
        ...

    def save_artifacts(self, run: RunFolder) -> None:
        """Write the files of a run besides its checkpoints, such as the label embedding."""
        ...
