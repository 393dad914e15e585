"""Losses that are a mean of one value per row: input checks, ignored rows, denominators and counts, written once.

N rows, V labels, D hidden size.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError, check_at_least_one
from labelemb.functional import cross_entropy, is_correct, soft_cross_entropy
from labelemb.losses.base import (
    Loss,
    check_denominator,
    check_index,
    check_mixed_shapes,
    check_mixed_values,
    check_shapes,
    check_values,
    wants_validation,
)
from labelemb.terms.output import LossOutput, MixedTargets, Targets
from labelemb.terms.reduction import masked_sum, row_scale, upcast
from labelemb.terms.rows import Rows


class RowLoss(Loss, ABC):
    """A method says its value per row, ``row_terms``, and perhaps what it notes of each batch, ``observe``.

    num_labels    V; None: whatever the head has
    ignore_index  target of rows that are not rows
    validate_args  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    """

    def __init__(self, num_labels: int | None, ignore_index: int = -100, validate_args: bool | None = None) -> None:
        super().__init__()
        if num_labels is not None:
            check_at_least_one("num_labels", num_labels)
        self.num_labels, self.ignore_index, self.validate_args = num_labels, ignore_index, validate_args

    @abstractmethod
    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return name -> (N,) values as they enter the total, weights included.

        log_p  (N, V), log softmax of the head's logits, fp32 at least
        rows   labels (N,), hidden (N, D), and index (N,) where the caller gives it
        """

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Note what a later step or epoch needs of a training batch. ``log_p`` is detached. By default: nothing.

        A batch is one to train on in training mode and with gradients on: a loss is easily forgotten in ``eval()``.
        """

    def forward(
        self,
        hidden: Tensor,
        head: nn.Linear,
        targets: Targets,
        num_items_in_batch: Tensor | float | None = None,
        index: Tensor | None = None,
    ) -> LossOutput:
        """hidden (..., D), head D -> V, targets (...) int64, or ``MixedTargets`` where ``mixes`` says so.

        num_items_in_batch  as in ``LabelEmbeddingLoss.forward``
        index        (...) int64, the number of each row's sample in the training data, for methods that remember it

        Raises ShapeError, DataError, and ConfigError for mixed targets that this method has no use for.
        """
        mixed = targets if isinstance(targets, MixedTargets) else None
        labels = targets.first if isinstance(targets, MixedTargets) else targets
        if mixed is not None and not self.mixes:
            raise ConfigError("targets", f"one label per row for {type(self).__name__}", "mixed targets")
        weight = getattr(head, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            raise ShapeError("head", "an nn.Linear, from hidden size to labels", type(head).__name__)
        num_labels = self.num_labels or weight.shape[0]
        check_shapes(hidden, head, labels, weight.shape[1], num_labels)
        check_denominator(num_items_in_batch)
        check_index(index, labels)
        if mixed is not None:
            check_mixed_shapes(mixed)
        if wants_validation(self.validate_args, hidden):
            check_values(hidden, labels, num_labels, self.ignore_index)
            if mixed is not None:
                check_mixed_values(hidden, mixed, num_labels, self.ignore_index)
        return self.compute(Rows.of(hidden, labels, self.ignore_index, index), head, mixed, num_items_in_batch)

    def compute(
        self, rows: Rows, head: nn.Linear, mixed: MixedTargets | None, num_items_in_batch: Tensor | float | None
    ) -> LossOutput:
        """Return the mean over rows of ``row_terms``, logits materialised."""
        logits = upcast(head(rows.hidden))  # (N, V)
        log_p = torch.log_softmax(logits, dim=1)
        values, labels = self.row_terms(log_p, rows), rows.labels
        if mixed is not None:
            second = torch.where(rows.mask, mixed.second.reshape(-1), 0)
            weight = torch.where(rows.mask, mixed.weight.reshape(-1), 0).to(log_p.dtype)
            others = self.row_terms(log_p, replace(rows, labels=second))
            values = {name: weight * value + (1 - weight) * others[name] for name, value in values.items()}
            labels = MixedTargets(labels, second, weight).heavier
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                self.observe(log_p.detach(), rows)
        count = rows.mask.sum()
        per_row = row_scale(count.to(logits.dtype), num_items_in_batch)
        terms = {name: masked_sum(value, rows.mask) * per_row for name, value in values.items()}
        return LossOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: value.detach() for name, value in terms.items()},
            correct=(is_correct(logits, labels) & rows.mask).sum(),
            count=count,
        )


class SoftTargetLoss(RowLoss):
    """H(t, z1) with the target t = hard_weight * onehot y + (1 - hard_weight) * soft, a mean over rows.

    A method says its ``soft_targets``; ``terms`` has the two parts, "hard" and "soft".
    """

    hard_weight: float

    @abstractmethod
    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return the soft part of each row's target, without a gradient: (N, V), or what broadcasts to it.

        like  a tensor of the dtype and device that is wanted, (N, V)
        """

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> the two parts, (N,) each."""
        soft = self.soft_targets(rows, log_p)
        return {
            "hard": self.hard_weight * cross_entropy(log_p, rows.labels),
            "soft": (1 - self.hard_weight) * soft_cross_entropy(log_p, soft),
        }


def check_weight(name: str, value: float) -> None:
    """Refuse a share that is none. Raises ConfigError."""
    if not 0 <= value <= 1:
        raise ConfigError(name, "a number from 0 to 1", value)
