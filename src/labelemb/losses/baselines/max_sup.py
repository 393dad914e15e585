"""MaxSup: suppress the largest logit, whether it is that of the label or not."""

from dataclasses import dataclass

from torch import Tensor

from labelemb.errors import Choices, ConfigError, check_at_least_one
from labelemb.functional import cross_entropy, max_suppression
from labelemb.losses.epoch_count import EpochCount
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss
from labelemb.terms.rows import Rows


class MaxSupLoss(EpochCount, RowLoss):
    """MaxSup: ``H(onehot(y), p) + weight * (max_k z_k - mean_k z_k)``, means over rows; z are the logits.

    Label smoothing equals ``H(onehot(y), p) + eps * (z_y - mean_k z_k)``; MaxSup replaces the label's logit by the
    largest one, so that wrong predictions are suppressed instead of encouraged. The weight rises linearly from
    ``weight`` to ``final_weight``: in epoch e of E, counted from 0, it is ``weight + (final_weight - weight) * e / E``.
    Source: Zhou et al. 2025, MaxSup: Overcoming Representation Collapse in Label Smoothing, arXiv 2502.15798, and its
    code for the schedule.

    Terms: "hard", "suppression".

    Args:
        weight: Weight of the suppression in the first epoch, >= 0.
        final_weight: Weight that the schedule approaches; None: ``weight``, no schedule.
        epochs: Epochs of the run, needed with ``final_weight``; call ``epoch_end()`` after each.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: An argument is out of range, or ``final_weight`` is given without ``epochs``.
    """

    supports_mixed_targets = True

    def __init__(
        self,
        weight: float = 0.1,
        final_weight: float | None = None,
        epochs: int | None = None,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(None, ignore_index, validate_args)
        self.first_weight, self.final_weight = weight, weight if final_weight is None else final_weight
        for name, value in (("weight", self.first_weight), ("final_weight", self.final_weight)):
            if not 0 <= value < float("inf"):
                raise ConfigError(name, "a number >= 0", value)
        if final_weight is not None:
            check_at_least_one("epochs", epochs)
        self.epochs = epochs or 1
        self._set_epoch(0)

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return the two terms, shape ``(N,)`` each."""
        return {"hard": cross_entropy(log_p, rows.labels), "suppression": self.weight * max_suppression(log_p)}

    def term_weights(self) -> dict[str, float]:
        """Return the weights of both terms."""
        return {"hard": 1.0, "suppression": self.weight}

    def _set_epoch(self, epoch: int) -> None:
        super()._set_epoch(epoch)
        share = min(epoch / self.epochs, 1)
        self.weight = self.first_weight + (self.final_weight - self.first_weight) * share

    def extra_repr(self) -> str:
        """Return the arguments for ``repr``."""
        return f"weight={self.first_weight}, final_weight={self.final_weight}, epochs={self.epochs}"


@dataclass(frozen=True)
class MaxSupOptions(MethodOptions):
    """Options of ``max_sup``.

    Args:
        max_sup_weight: ``max_sup``: weight of the suppression at the start of the run.
        max_sup_final_weight: ``max_sup``: weight of the suppression at the end of the run; it rises linearly.
    """

    max_sup_weight: float = 0.1
    max_sup_final_weight: float = 0.2

    def __post_init__(self) -> None:
        with Choices() as choices:
            for name in ("max_sup_weight", "max_sup_final_weight"):
                value = getattr(self, name)
                choices.expect(0 <= value < float("inf"), name, "a number >= 0", value)


def _build(options: MaxSupOptions, context: LossContext) -> MaxSupLoss:
    return MaxSupLoss(options.max_sup_weight, options.max_sup_final_weight, context.epochs, context.ignore_index)


METHOD = Method(
    name="max_sup",
    title="MaxSup",
    formula="H(onehot(y), p) + w (max z - mean z), z: logits, w rises linearly",
    build=_build,
    options=MaxSupOptions,
    citation="Zhou et al. 2025, arXiv 2502.15798",
    color="#44aa99",
    mixed_targets="always",
    has_state=True,
)
