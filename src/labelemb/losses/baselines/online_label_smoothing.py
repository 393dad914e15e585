"""Online label smoothing: the soft label of a class is the mean prediction of last epoch's right rows."""

import torch
from torch import Tensor

from labelemb.functional import is_correct
from labelemb.losses.rank_local import PendingState
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.reduction import global_sum
from labelemb.terms.rows import Rows


class OnlineLabelSmoothingLoss(SoftTargetLoss):
    """hard_weight * H(onehot y, z1) + (1 - hard_weight) * H(S[y], z1), means over rows.

    S[y] of an epoch is the mean of softmax(z1) over the rows of label y that the epoch before predicted right, as they
    were when they came by. S is 0 in the first epoch, which so has the hard term alone, with its weight, and in the
    row of a label that no row of the last epoch got right.

    Source: Zhang, Jiang, Hou, Wei, Han, Li, Cheng 2021, arXiv 2011.12562, equations 5 to 8 and its program.

    num_labels    V
    hard_weight   weight of the hard term, 0..1
    ignore_index, validate_args  as in ``RowLoss``

    ``soft``      S, (V, V)
    ``epoch_end`` makes S of what was seen. Only rows seen in training mode count.
    """

    soft: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(
        self, num_labels: int, hard_weight: float = 0.5, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        check_weight("hard_weight", hard_weight)
        self.hard_weight = hard_weight
        self.register_buffer("soft", torch.zeros(num_labels, num_labels))
        # Sums over the right rows of this epoch: what all processes know, and what this one has seen since.
        self.register_buffer("sums", torch.zeros(num_labels, num_labels))
        self.register_buffer("counts", torch.zeros(num_labels))
        self.new_sums, self.new_counts = PendingState(num_labels, num_labels), PendingState(num_labels)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """S[y], (N, V)."""
        return self.soft[rows.labels].to(like.dtype)

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Add the predictions of the right rows to the sums of their labels."""
        sums, counts = self.new_sums.value, self.new_counts.value
        right = (is_correct(log_p, rows.labels) & rows.mask).to(counts.dtype)
        p = torch.where(right[:, None] > 0, log_p.exp().to(sums.dtype), 0.0)
        sums.index_add_(0, rows.labels, p)
        counts.index_add_(0, rows.labels, right)

    def sync(self) -> None:
        """Add up what the processes have seen since they last did."""
        for known, new in ((self.sums, self.new_sums.value), (self.counts, self.new_counts.value)):
            known += global_sum(new)
            new.zero_()

    def epoch_end(self) -> None:
        """Make S of the epoch that ends here and start the sums anew."""
        self.sync()
        self.soft.copy_(self.sums / self.counts.clamp(min=1)[:, None])
        self.sums.zero_()
        self.counts.zero_()

    def extra_repr(self) -> str:
        """Say what is chosen when the module is printed."""
        return f"num_labels={self.num_labels}, hard_weight={self.hard_weight}"
