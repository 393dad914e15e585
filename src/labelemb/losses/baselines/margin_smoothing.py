"""Margin-based label smoothing (MbLS): penalize logits further than a margin below the largest."""

from dataclasses import dataclass

from torch import Tensor

from labelemb.errors import Choices, ConfigError
from labelemb.functional import cross_entropy, margin_penalty
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss
from labelemb.terms.rows import Rows


class MarginSmoothingLoss(RowLoss):
    """MbLS: ``H(onehot(y), p) + weight * mean_k max(0, max_j z_j - z_k - margin)``, means over rows; z are the logits.

    Label smoothing pulls all logit distances to 0; the margin leaves distances below it alone, so that confidence is
    limited without a loss of accuracy.
    Source: Liu, Ben Ayed, Galdran, Dolz 2022, The Devil is in the Margin: Margin-based Label Smoothing for Network
    Calibration, CVPR, arXiv 2111.15430, equation 6.

    Terms: "hard", "margin".

    Args:
        margin: Distance to the largest logit that costs nothing, >= 0.
        weight: Weight of the penalty, >= 0.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: ``margin`` or ``weight`` is out of range.
    """

    supports_mixed_targets = True

    def __init__(
        self,
        margin: float = 10.0,
        weight: float = 0.1,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(None, ignore_index, validate_args)
        for name, value in (("margin", margin), ("weight", weight)):
            if not 0 <= value < float("inf"):
                raise ConfigError(name, "a number >= 0", value)
        self.margin, self.weight = margin, weight

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return the two terms, shape ``(N,)`` each."""
        return {"hard": cross_entropy(log_p, rows.labels), "margin": self.weight * margin_penalty(log_p, self.margin)}

    def term_weights(self) -> dict[str, float]:
        """Return the weights of both terms."""
        return {"hard": 1.0, "margin": self.weight}

    def extra_repr(self) -> str:
        """Return the arguments for ``repr``."""
        return f"margin={self.margin}, weight={self.weight}"


@dataclass(frozen=True)
class MarginSmoothingOptions(MethodOptions):
    """Options of ``margin_smoothing``.

    Args:
        margin_smoothing_margin: ``margin_smoothing``: distance to the largest logit that costs nothing.
        margin_smoothing_weight: ``margin_smoothing``: weight of the penalty.
    """

    margin_smoothing_margin: float = 10.0
    margin_smoothing_weight: float = 0.1

    def __post_init__(self) -> None:
        with Choices() as choices:
            for name in ("margin_smoothing_margin", "margin_smoothing_weight"):
                value = getattr(self, name)
                choices.expect(0 <= value < float("inf"), name, "a number >= 0", value)


def _build(options: MarginSmoothingOptions, context: LossContext) -> MarginSmoothingLoss:
    return MarginSmoothingLoss(options.margin_smoothing_margin, options.margin_smoothing_weight, context.ignore_index)


METHOD = Method(
    name="margin_smoothing",
    title="margin smoothing",
    formula="H(onehot(y), p) + w mean_k max(0, max z - z_k - m), z: logits",
    build=_build,
    options=MarginSmoothingOptions,
    citation="Liu et al. 2022, arXiv 2111.15430",
    color="#6a3d9a",
    mixed_targets="always",
)
