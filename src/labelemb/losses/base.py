"""Loss: the base class of every loss, with one ``forward``: validate, flatten, compute.

N rows (images or target tokens), V labels, D hidden size.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from labelemb.errors import ConfigError
from labelemb.losses import validation
from labelemb.losses.attach import attach_loss
from labelemb.losses.monitor import TrainingMonitor
from labelemb.terms.output import LossOutput, MixedTargets, Targets
from labelemb.terms.reduction import SINGLE_PROCESS, Group, total_weight
from labelemb.terms.rows import Rows
from labelemb.terms.shard import LabelShard, is_dtensor

# Arguments of nn.CrossEntropyLoss that have no counterpart here -> what to write instead.
CROSS_ENTROPY_ARGUMENTS = {
    "reduction": "Losses are means over the rows that are not ignored; for a sum multiply by out.count",
    "size_average": "Losses are means over the rows that are not ignored; for a sum multiply by out.count",
    "reduce": "Losses are means over the rows that are not ignored; for a sum multiply by out.count",
    "weight": "Call loss.set_class_weights(weight) after making the loss",
    "label_smoothing": "Use LabelSmoothingLoss(smoothing); LabelEmbeddingLoss learns its soft labels instead",
}


class Loss(nn.Module, ABC):
    """Base class of every loss: ``loss(hidden, head, targets) -> LossOutput``.

    Supported heads: any module with a ``weight`` of shape ``(V, D)`` whose forward maps ``(..., D)`` to ``(..., V)``,
    such as a plain, tied, LoRA-wrapped or cosine classifier. The implementations "chunked" and "fused" compute the
    logits themselves and need a plain ``nn.Linear`` (tied or not). The head is used, never changed.

    Attributes:
        hidden_size: D, or None to accept that of the head.
        num_labels: V, or None to accept that of the head.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: Whether to check for labels out of range and NaN; None: on a CPU only (a GPU would wait).
        process_group: Data-parallel group whose rows are counted; None: the default group.
        shard: Labels of this process, where they are split over processes; None: all.
        class_weights: Weight of each class, shape ``(V,)``; None: all 1. See ``set_class_weights``.
    """

    hidden_size: int | None = None
    process_group: Group = None
    shard: LabelShard | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Answer arguments of ``nn.CrossEntropyLoss`` with what to write instead.

        Raises:
            ConfigError: For an argument that this loss does not have.
        """
        wrong = [name for name in CROSS_ENTROPY_ARGUMENTS if name in kwargs]
        if wrong and wrong[0] not in inspect.signature(cls.__init__).parameters:
            hint = CROSS_ENTROPY_ARGUMENTS[wrong[0]]
            raise ConfigError(wrong[0], f"no such argument of {cls.__name__}", repr(kwargs[wrong[0]]), hint)
        return super().__new__(cls)

    def __init__(self, num_labels: int | None, ignore_index: int = -100, validate_args: bool | None = None) -> None:
        super().__init__()
        self.num_labels, self.ignore_index, self.validate_args = num_labels, ignore_index, validate_args
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", None, persistent=False)
        self._monitor = TrainingMonitor()

    def forward(
        self,
        hidden: Tensor,
        head: nn.Module,
        targets: Targets | None = None,
        *,
        num_items_in_batch: Tensor | float | None = None,
        index: Tensor | None = None,
    ) -> LossOutput:
        """Compute the loss of the rows whose target is not ``ignore_index``.

        Under torch.distributed denominators are global: the mean over processes of the loss and of its gradients equals
        one process with the whole batch.

        Args:
            hidden: State in front of the model's classifier, shape ``(..., D)``, float.
            head: The model's classifier, see "Supported heads" above.
            targets: int64 labels of shape ``(...)``, or ``MixedTargets`` where ``supports_mixed_targets`` is True.
            num_items_in_batch: For gradient accumulation: number of rows of the whole batch, over all its micro-batches
                and all processes. Means over rows divide by it instead of by the rows at hand. With class weights the
                total weight of these rows (``count_items``).
            index: int64, shape ``(...)``: number of each row's sample in the training data, for losses that remember
                samples.

        Raises:
            ShapeError: For shapes, dtypes and devices that do not fit.
            DataError: For labels out of range and NaN (outside torch.compile only, see ``validate_args``).
            ConfigError: For mixed targets that this loss cannot take, and for ``num_items_in_batch`` below 1.
        """
        labels = self._validate(hidden, head, targets, num_items_in_batch, index)
        assert targets is not None
        if self.training and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self._monitor.record(self, hidden)
        rows = replace(
            Rows.flatten(hidden, targets, self.ignore_index).weighted(self.class_weights),
            index=None if index is None else index.reshape(-1),
            num_items_in_batch=num_items_in_batch,
        )
        output = self.compute(rows, head)
        if output.logits is None:
            return output
        return replace(output, logits=output.logits.reshape(*labels.shape, output.logits.shape[-1]))

    @property
    def is_sharded(self) -> bool:
        """Whether other processes hold labels, or a sample of them is computed."""
        return self.shard is not None and not self.shard.is_whole

    @property
    def data_parallel_group(self) -> Group:
        """Processes whose rows are counted: with ``shard``, None stands for no data parallelism."""
        return self.process_group if self.shard is None else self.process_group or SINGLE_PROCESS

    @property
    def supports_mixed_targets(self) -> bool:
        """Whether targets may be ``MixedTargets``; with labels split over processes they never may."""
        return False

    @abstractmethod
    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Compute the loss of flattened, valid rows."""

    def term_weights(self) -> dict[str, float]:
        """Return name -> weight of the terms that have one (``LossOutput.weights``)."""
        return {}

    def set_class_weights(self, weights: Tensor | Sequence[float] | None) -> Self:
        """Weight each class in every term; return the loss.

        A row of a class with weight 2 counts as two rows, and means divide by the total weight of the rows, as
        ``nn.CrossEntropyLoss(weight=...)`` does. Each part of a mixed target has the weight of its own class. The
        weights are not part of the ``state_dict``.

        Args:
            weights: Shape ``(V,)``, numbers >= 0; None: all 1.

        Raises:
            ConfigError: For another shape, and for numbers that are negative or not finite.

        Example:
            >>> from labelemb import LinearCrossEntropyLoss
            >>> loss = LinearCrossEntropyLoss().set_class_weights([1.0, 2.0, 0.5])
        """
        found = None if weights is None else torch.as_tensor(weights, dtype=torch.get_default_dtype())
        if found is not None and (found.dim() != 1 or self.num_labels not in (None, len(found))):
            expected = f"one number for each of the {self.num_labels or 'V'} labels"
            raise ConfigError("class_weights", expected, f"shape {tuple(found.shape)}")
        if found is not None and not bool((found.isfinite() & (found >= 0)).all()):
            raise ConfigError("class_weights", "finite numbers >= 0", weights)
        self.class_weights = found
        return self

    def count_items(self, targets: Targets) -> Tensor:
        """Return what ``num_items_in_batch`` is the sum of: the rows that are not ignored, or their total weight."""
        first = targets.first if isinstance(targets, MixedTargets) else targets
        rows = Rows.flatten(first.new_zeros((*first.shape, 1), dtype=torch.float), targets, self.ignore_index)
        rows = rows.weighted(self.class_weights)
        return total_weight(rows.mask, rows.weights)

    def step(self) -> None:
        """Count one optimizer step. Call it after each ``optimizer.step()``, unless ``attach`` was called."""

    def epoch_end(self) -> None:
        """Mark the end of an epoch. Call it on every rank, after the epoch's last step."""

    def sync(self) -> None:
        """All-reduce rank-local state. Call it on every rank before saving the ``state_dict``."""

    def attach(self, optimizer: Optimizer, lr: float | None = None) -> Self:
        """Let an optimizer train the loss's parameters and count its steps; return the loss.

        The parameters get a group of their own in the optimizer, without weight decay (it would pull a label embedding
        to uniform) and with a learning rate of their own; parameters that are in the optimizer already are moved there
        and keep their state. After each step of the optimizer ``loss.step()`` is called, except after a step that a
        ``GradScaler`` skipped. Attaching twice changes nothing.

        Call it before making a learning-rate scheduler, which then also drives the new group, and after
        ``fully_shard``. Load the optimizer's ``state_dict`` after attaching.

        Args:
            optimizer: The optimizer of the model.
            lr: Learning rate of the loss's parameters. None: the optimizer's (the largest of its groups) where that is
                1e-3 or more; below, at the rates of fine-tuning, where a label embedding would not move, 1e-2.

        Raises:
            ConfigError: For something else than an optimizer, or one that has a scheduler already.

        Example:
            >>> from labelemb import LabelEmbeddingLoss
            >>> model = nn.Linear(8, 3)
            >>> optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
            >>> loss = LabelEmbeddingLoss(8, 3).attach(optimizer)
            >>> [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
            [(5e-05, 0.01), (0.01, 0.0)]
        """
        attach_loss(self, optimizer, lr)
        return self

    def _validate(
        self, hidden: Tensor, head: nn.Module, targets: object, num_items_in_batch: object, index: Tensor | None
    ) -> Tensor:
        """Check the input; return the labels, of mixed targets the first ones."""
        validation.check_call(hidden, head, targets)
        mixed = targets if isinstance(targets, MixedTargets) else None
        if mixed is not None and (self.is_sharded or not self.supports_mixed_targets):
            raise ConfigError("targets", f"one label per row for {type(self).__name__}", "mixed targets")
        labels = targets if mixed is None else mixed.first
        weight = head.weight
        assert isinstance(labels, Tensor)
        assert isinstance(weight, Tensor)
        num_labels = self.num_labels or weight.shape[0]
        validation.check_hidden(hidden, self.hidden_size or weight.shape[1], num_labels)
        whole = is_dtensor(weight)  # it has the shape of the whole layer
        validation.check_layer("head", head, hidden, num_labels if whole or self.shard is None else self.shard.size)
        validation.check_targets(labels, hidden)
        validation.check_num_items(num_items_in_batch)
        validation.check_index(index, labels)
        if self.class_weights is not None and len(self.class_weights) != num_labels:
            raise ConfigError(
                "class_weights", f"one number for each of the {num_labels} labels", len(self.class_weights)
            )
        if mixed is not None:
            validation.check_mixed_shapes(mixed)
        if validation.wants_validation(self.validate_args, hidden):
            validation.check_values(hidden, labels, num_labels, self.ignore_index)
            if mixed is not None:
                validation.check_mixed_values(hidden, mixed, num_labels, self.ignore_index)
        return labels
