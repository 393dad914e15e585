"""Label relaxation: any prediction that is sure enough of the label is right."""

import math

import torch
from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.losses.row_loss import RowLoss
from labelemb.terms.rows import Rows


def relaxed_divergence(log_p: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """The least KL(t || p) over the targets t with t[y] >= 1 - alpha; 0 where p is one of them.

    Else t[y] = 1 - alpha, and the others share alpha as p does, which leaves
    (1 - alpha) log((1 - alpha) / p[y]) + alpha log(alpha / (1 - p[y])).

    log_p (N, V), labels (N,) int64, 0 < alpha < 1 -> (N,)

    >>> relaxed_divergence(torch.tensor([[0.5, 0.5], [0.05, 0.95]]).log(), torch.tensor([1, 1]), 0.1)
    tensor([0.3681, 0.0000])
    """
    own = log_p.gather(1, labels[:, None])
    others = log_p.scatter(1, labels[:, None], -torch.inf).logsumexp(1)  # log(1 - p[y]), exact for p[y] near 1
    kl = (1 - alpha) * (math.log(1 - alpha) - own[:, 0]) + alpha * (math.log(alpha) - others)
    return torch.where(own[:, 0] >= math.log(1 - alpha), 0.0, kl)


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
