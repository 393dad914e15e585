"""Label relaxation: any prediction that is sure enough of the label is right."""

from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.functional import relaxed_divergence
from labelemb.losses.row_loss import RowLoss
from labelemb.terms.rows import Rows


class LabelRelaxationLoss(RowLoss):
    """The mean over rows of ``relaxed_divergence``: softened targets, but of each row's own choice.

    Source: Lienen, Huellermeier 2021, From Label Smoothing to Label Relaxation, AAAI 35, equations 6 to 8.

    num_labels    V >= 2
    alpha         mass that may lie beside the label, above 0, below 1
    ignore_index, validate_args  as in ``RowLoss``

    ``terms`` has "relaxed".
    """

    def __init__(
        self, num_labels: int, alpha: float = 0.1, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        if num_labels < 2:
            raise ConfigError("num_labels", "2 or more for label relaxation", num_labels)
        if not 0 < alpha < 1:
            raise ConfigError("alpha", "a number above 0 and below 1", alpha)
        self.alpha = alpha

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> (N,)."""
        return {"relaxed": relaxed_divergence(log_p, rows.labels, self.alpha)}
