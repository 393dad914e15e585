"""RunningMeanLabelEmbedding: the label embedding at the fixed point of its own term, without gradient steps.

K rows of a call, V labels.
"""

import torch
from torch import Tensor

from labelemb.terms.embedding import DenseLabelEmbedding
from labelemb.terms.label_means import LabelMeans
from labelemb.terms.reduction import Group


class RunningMeanLabelEmbedding(LabelMeans, DenseLabelEmbedding):
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

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels)
        self.weight.requires_grad_(False)
        self.register_buffer("known", torch.zeros(num_labels, dtype=torch.bool))
        self._start_sums(num_labels)

    def observe(self, predictions: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add the weighted predictions of rows to the sums of their labels.

        Args:
            predictions: The teacher's softened probabilities, shape ``(K, V)``.
            labels: int64, shape ``(K,)``.
            weights: Shape ``(K,)``: weight of the label in each row that the teacher predicts right, 0 elsewhere.
        """
        self._add_predictions(predictions, labels, weights)

    def sync(self, group: Group = None) -> None:
        """All-reduce what the ranks of the group have observed since the last call."""
        self._sync_sums(group)

    @torch.no_grad()
    def end_epoch(self, group: Group = None) -> None:
        """Make the means of the epoch the soft labels; a label without a right row keeps the soft label it has."""
        means, seen = self._end_sums(group)
        logits = means.clamp(min=torch.finfo(means.dtype).tiny).log().to(self.weight.dtype)
        self.weight.copy_(torch.where(seen[:, None], logits, self.weight))
        self.known |= seen

    def _tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight}
