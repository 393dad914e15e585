"""Online label smoothing: the soft label of a class is the mean correct prediction of the previous epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.functional import is_correct
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.label_means import LabelMeans
from labelemb.terms.rows import Rows


class OnlineLabelSmoothingLoss(LabelMeans, SoftTargetLoss):
    """OLS: ``hard_weight * H(onehot(y), p) + (1 - hard_weight) * H(S[y], p)``, means over rows.

    S[y] is the mean of p over the training examples of label y that were classified correctly during the previous
    epoch. S is 0 in the first epoch, and for a label of which no example was classified correctly; the hard term keeps
    its weight there.
    Source: Zhang, Jiang, Hou, Wei, Han, Li, Cheng 2021, arXiv 2011.12562, equations 5 to 8, and its code.

    Call ``epoch_end()`` after each epoch. Only batches in training mode with gradients enabled enter S.

    Args:
        num_labels: Number of labels V.
        hard_weight: Weight of the hard term, 0 to 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Attributes:
        soft: S, shape ``(V, V)``.

    Raises:
        ConfigError: ``num_labels`` or ``hard_weight`` is out of range.
    """

    soft: Tensor

    def __init__(
        self, num_labels: int, hard_weight: float = 0.5, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        check_weight("hard_weight", hard_weight)
        self.hard_weight = hard_weight
        self.register_buffer("soft", torch.zeros(num_labels, num_labels))
        self._start_sums(num_labels)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return S[y], shape ``(N, V)``."""
        return self.soft[rows.labels].to(like.dtype)

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Add the correct predictions to the sums of their labels."""
        self._add_predictions(log_p.exp(), rows.labels, is_correct(log_p, rows.labels) & rows.mask)

    def sync(self) -> None:
        """All-reduce the sums of all ranks since the last sync."""
        self._sync_sums()

    def epoch_end(self) -> None:
        """Compute S from the finished epoch and reset the sums."""
        means, _ = self._end_sums()
        self.soft.copy_(means)

    def extra_repr(self) -> str:
        """Return the arguments for ``repr``."""
        return f"num_labels={self.num_labels}, hard_weight={self.hard_weight}"


@dataclass(frozen=True)
class OnlineLabelSmoothingOptions(MethodOptions):
    """Options of ``ols``.

    Args:
        ols_weight: ``ols``: weight of the one-hot term, 0 to 1.
    """

    ols_weight: float = 0.5

    def __post_init__(self) -> None:
        check_weight("ols_weight", self.ols_weight)


def _build(options: OnlineLabelSmoothingOptions, context: LossContext) -> OnlineLabelSmoothingLoss:
    return OnlineLabelSmoothingLoss(context.num_labels, options.ols_weight, context.ignore_index)


METHOD = Method(
    name="ols",
    title="online smoothing",
    formula="H(t, p), t = w onehot(y) + (1 - w) S[y], S[y]: mean correct prediction for y in the previous epoch",
    build=_build,
    options=OnlineLabelSmoothingOptions,
    citation="Zhang et al. 2021, arXiv 2011.12562",
    color="#7f7f7f",
    has_state=True,
    large_vocabulary=False,
)
