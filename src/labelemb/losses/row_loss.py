"""Losses that are a mean of one value per row.

N rows, V labels, D hidden size.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, check_at_least_one
from labelemb.functional import cross_entropy, is_correct, mixture, soft_cross_entropy
from labelemb.losses.base import Loss
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import masked_sum, row_scale, upcast
from labelemb.terms.rows import Rows


class RowLoss(Loss, ABC):
    """A mean over rows. Subclasses define ``row_terms`` and, where they keep state, ``observe``.

    Args:
        num_labels: V; None: that of the head.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: Whether to check for labels out of range and NaN; None: on a CPU only (a GPU would wait).

    Raises:
        ConfigError: For ``num_labels`` below 1.
    """

    def __init__(self, num_labels: int | None, ignore_index: int = -100, validate_args: bool | None = None) -> None:
        if num_labels is not None:
            check_at_least_one("num_labels", num_labels)
        super().__init__(num_labels, ignore_index, validate_args)

    @abstractmethod
    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return name -> value per row, shape ``(N,)``, weights included: the loss is the mean of their sum.

        Args:
            log_p: Log softmax of the head's logits, shape ``(N, V)``, fp32 or wider.
            rows: labels ``(N,)``, hidden ``(N, D)``, and index ``(N,)`` where the caller gives it.
        """

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Record what later steps need of a training batch; by default nothing.

        Called in training mode with gradients enabled. ``log_p`` is detached.
        """

    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Return the mean over rows of ``row_terms``, logits materialized."""
        head_logits = head(rows.hidden)  # (N, V)
        logits = upcast(head_logits)
        log_p = torch.log_softmax(logits, dim=1)
        values, labels, mixed = self.row_terms(log_p, rows), rows.labels, rows.mixed
        if mixed is not None:
            weight = mixed.weight.to(log_p.dtype)
            others = self.row_terms(log_p, replace(rows, labels=mixed.second))
            values = {name: mixture(value, others[name], weight) for name, value in values.items()}
            labels = replace(mixed, weight=weight).heavier
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                self.observe(log_p.detach(), rows)
        per_row = row_scale(rows, logits.dtype, self.data_parallel_group)
        terms = {name: masked_sum(value, rows.mask, rows.weights) * per_row for name, value in values.items()}
        return LossOutput(
            loss=torch.stack(list(terms.values())).sum(),
            terms={name: value.detach() for name, value in terms.items()},
            correct=(is_correct(logits, labels) & rows.mask).sum(),
            count=rows.mask.sum(),
            logits=head_logits.detach(),
            weights=self.term_weights(),
        )


class SoftTargetLoss(RowLoss):
    """``hard_weight * H(onehot y, z) + (1 - hard_weight) * H(soft, z)``, a mean over rows. Terms: "hard", "soft".

    Subclasses set ``hard_weight`` and define ``soft_targets``.
    """

    hard_weight: float

    @abstractmethod
    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return the soft part of each row's target, without gradient, shape ``(N, V)`` or broadcastable to it.

        Args:
            rows: The batch.
            like: A tensor of the dtype and device to return, shape ``(N, V)``.
        """

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return both parts, shape ``(N,)`` each."""
        soft = self.soft_targets(rows, log_p)
        return {
            "hard": self.hard_weight * cross_entropy(log_p, rows.labels),
            "soft": (1 - self.hard_weight) * soft_cross_entropy(log_p, soft),
        }

    def term_weights(self) -> dict[str, float]:
        """Return the weights of both parts."""
        return {"hard": self.hard_weight, "soft": 1 - self.hard_weight}


def check_weight(name: str, value: float) -> None:
    """Refuse a weight that is not from 0 to 1.

    Raises:
        ConfigError: Names it.
    """
    if not 0 <= value <= 1:
        raise ConfigError(name, "a number from 0 to 1", value)
