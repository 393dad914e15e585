"""Label relaxation: every prediction that is confident enough of the label has no loss."""

from dataclasses import dataclass

from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.functional import relaxed_divergence
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss
from labelemb.terms.rows import Rows


class LabelRelaxationLoss(RowLoss):
    """Mean over rows of ``functional.relaxed_divergence``, from the closest target with mass on y.

    0 where ``p[y] >= 1 - alpha``, else ``KL(t || p)`` with ``t[y] = 1 - alpha`` and the rest distributed as p does.
    Source: Lienen, Huellermeier 2021, From Label Smoothing to Label Relaxation, AAAI 35, equations 6 to 8.

    Terms: "relaxed".

    Args:
        num_labels: Number of labels V, at least 2.
        alpha: Probability mass that the target may give to other labels, above 0 and below 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: ``num_labels`` or ``alpha`` is out of range.
    """

    def __init__(
        self, num_labels: int, alpha: float = 0.1, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        if num_labels < 2:
            raise ConfigError("num_labels", "2 or more for label relaxation", num_labels)
        check_alpha("alpha", alpha)
        self.alpha = alpha

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return the relaxed divergence, shape ``(N,)``."""
        return {"relaxed": relaxed_divergence(log_p, rows.labels, self.alpha)}


def check_alpha(name: str, alpha: float) -> None:
    """Raise ConfigError unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise ConfigError(name, "a number above 0 and below 1", alpha)


@dataclass(frozen=True)
class LabelRelaxationOptions(MethodOptions):
    """Options of ``label_relaxation``.

    Args:
        relaxation: ``label_relaxation``: probability mass that may lie outside the label without a loss, 0 to 1.
    """

    relaxation: float = 0.1

    def __post_init__(self) -> None:
        check_alpha("relaxation", self.relaxation)


def _build(options: LabelRelaxationOptions, context: LossContext) -> LabelRelaxationLoss:
    return LabelRelaxationLoss(context.num_labels, options.relaxation, context.ignore_index)


METHOD = Method(
    name="label_relaxation",
    title="label relaxation",
    formula="0 where p[y] >= 1 - a, else KL(t, p), t[y] = 1 - a, the rest as in p",
    build=_build,
    options=LabelRelaxationOptions,
    citation="Lienen, Huellermeier 2021, AAAI 35",
    color="#999933",
)
