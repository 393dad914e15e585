"""RunningMeanLabelEmbedding: the label embedding at the fixed point of its own term, without gradient steps.

K rows of a call, V labels.
"""

import torch
from torch import Tensor

from labelemb.terms.embedding import DenseLabelEmbedding
from labelemb.terms.rank_local import PendingState
from labelemb.terms.reduction import Group, global_sum


class RunningMeanLabelEmbedding(DenseLabelEmbedding):
    """A label's soft label is the mean teacher prediction over the rows of an epoch that the teacher predicts right.

    ``softmax(E[y]) = mean of softmax(z2 / tau) over rows of label y with argmax z2 = y``. This is where the embedding
    term of the Label Embedding Network (arXiv 1710.10393) has its minimum; it needs no learning rate. A label has no
    soft label until the first epoch in which one of its rows was predicted right has ended. Online label smoothing
    (arXiv 2011.12562) is the same mean of the model's own predictions with tau = 1.

    Use it through ``Objective(embedding_update="running_mean")``. ``save`` writes a dense label embedding.

    Args:
        num_labels: V; memory is 3 V * V numbers.

    Attributes:
        known: bool, shape ``(V,)``: which labels have a soft label.

    Raises:
        ConfigError: For ``num_labels`` below 1.
    """

    known: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels)
        self.weight.requires_grad_(False)
        self.register_buffer("known", torch.zeros(num_labels, dtype=torch.bool))
        # Sums over the rows of this epoch: of all ranks up to the last sync, and of this rank since then.
        self.register_buffer("sums", torch.zeros(num_labels, num_labels))
        self.register_buffer("counts", torch.zeros(num_labels))
        self.new_sums, self.new_counts = PendingState(num_labels, num_labels), PendingState(num_labels)

    @torch.no_grad()
    def observe(self, predictions: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add the weighted predictions of rows to the sums of their labels.

        Args:
            predictions: The teacher's softened probabilities, shape ``(K, V)``.
            labels: int64, shape ``(K,)``.
            weights: Shape ``(K,)``: weight of the label in each row that the teacher predicts right, 0 elsewhere.
        """
        sums, counts = self.new_sums.value, self.new_counts.value
        weights = weights.to(sums.dtype)
        sums.index_add_(0, labels, weights[:, None] * predictions.to(sums.dtype))
        counts.index_add_(0, labels, weights)

    @torch.no_grad()
    def sync(self, group: Group = None) -> None:
        """Add what the ranks of the group have observed since the last call to the sums."""
        for total, new in ((self.sums, self.new_sums.value), (self.counts, self.new_counts.value)):
            total += global_sum(new, group)
            new.zero_()

    @torch.no_grad()
    def end_epoch(self, group: Group = None) -> None:
        """Make the means of the epoch the soft labels; a label without a right row keeps the soft label it has."""
        self.sync(group)
        seen = self.counts > 0
        means = self.sums / torch.where(seen, self.counts, 1.0)[:, None]
        logits = means.clamp(min=torch.finfo(means.dtype).tiny).log().to(self.weight.dtype)
        self.weight.copy_(torch.where(seen[:, None], logits, self.weight))
        self.known |= seen
        self.sums.zero_()
        self.counts.zero_()

    def _tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight}
