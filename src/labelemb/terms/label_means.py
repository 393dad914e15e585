"""The mean prediction for each label over an epoch.

K rows of a call, V labels.
"""

import torch
from torch import Tensor, nn

from labelemb.terms.rank_local import PendingState
from labelemb.terms.reduction import Group, global_sum


class LabelMeans(nn.Module):
    """Mixin that sums predictions by label on each rank, and returns their means over all ranks once an epoch.

    Attributes:
        sums: Sums of the epoch so far, of all ranks up to the last ``_sync_sums``, shape ``(V, V)``.
        counts: Total weight of the rows in each sum, shape ``(V,)``.
        new_sums, new_counts: Those of this rank since then.
    """

    sums: Tensor
    counts: Tensor

    def _start_sums(self, num_labels: int) -> None:
        """Register the sums; call it in the constructor."""
        self.register_buffer("sums", torch.zeros(num_labels, num_labels))
        self.register_buffer("counts", torch.zeros(num_labels))
        self.new_sums, self.new_counts = PendingState(num_labels, num_labels), PendingState(num_labels)

    @torch.no_grad()
    def _add_predictions(self, predictions: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add the weighted predictions of rows to the sums of their labels.

        Args:
            predictions: Probabilities, shape ``(K, V)``.
            labels: int64, shape ``(K,)``.
            weights: Shape ``(K,)``; 0 for rows that do not count.
        """
        sums, counts = self.new_sums.value, self.new_counts.value
        weights = weights.to(sums.dtype)
        column = weights[:, None]
        # ``where``: NaN of a row that does not count, after an overflow in fp16, must not reach the sums.
        sums.index_add_(0, labels, torch.where(column > 0, column * predictions.to(sums.dtype), 0.0))
        counts.index_add_(0, labels, weights)

    @torch.no_grad()
    def _sync_sums(self, group: Group = None) -> None:
        """Add what the ranks of the group have summed since the last call."""
        for total, new in ((self.sums, self.new_sums.value), (self.counts, self.new_counts.value)):
            total += global_sum(new, group)
            new.zero_()

    @torch.no_grad()
    def _end_sums(self, group: Group = None) -> tuple[Tensor, Tensor]:
        """Return the means of the epoch, ``(V, V)``, and which labels have one, ``(V,)``; start the next epoch."""
        self._sync_sums(group)
        seen = self.counts > 0
        means = self.sums / torch.where(seen, self.counts, 1.0)[:, None]
        self.sums.zero_()
        self.counts.zero_()
        return means, seen
