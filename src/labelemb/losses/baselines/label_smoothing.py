"""Label smoothing: the same softness for every label and every row."""

from torch import Tensor

from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.rows import Rows


class LabelSmoothingLoss(SoftTargetLoss):
    """H(t, z1) with t = (1 - eps) * onehot y + eps / V, a mean over rows: torch's ``label_smoothing``.

    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, arXiv 1512.00567, section 7.

    smoothing     eps, 0..1
    ignore_index, validate_args  as in ``RowLoss``
    """

    mixes = True

    def __init__(self, smoothing: float = 0.1, ignore_index: int = -100, validate_args: bool | None = None) -> None:
        super().__init__(None, ignore_index, validate_args)
        check_weight("label_smoothing", smoothing)
        self.hard_weight = 1 - smoothing

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """1 / V everywhere, (1, 1)."""
        return like.new_full((1, 1), 1 / like.shape[1])
