"""The label confusion model: learned label vectors say which labels each instance could be taken for."""

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError, check_at_least_one
from labelemb.functional import confusion_divergence
from labelemb.losses.row_loss import RowLoss
from labelemb.losses.validation import check_same_dtype
from labelemb.terms.reduction import upcast
from labelemb.terms.rows import Rows


class LabelConfusionLoss(RowLoss):
    """The mean over rows of ``confusion_divergence``, with confusion = W (L h) + b.

    Row k of L (V, D), the vector of label k, is tanh of a linear map of a learned code; W (V, V) and b (V,) are
    learned, too. h is the hidden state in front of the classifier.

    Source: Guo, Han, Han, Huang, Lu 2021, Label Confusion Learning to Enhance Text Classification Models, AAAI 35,
    arXiv 2012.04987, equations 4 to 6.

    hidden_size   D
    num_labels    V
    alpha         how much the label counts in the simulated one, >= 0
    code_size     of a label's code in front of the linear map
    ignore_index, validate_args  as in ``RowLoss``

    ``terms`` has "confusion". Give its parameters to the optimiser beside the model's, without weight decay.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        alpha: float = 4.0,
        code_size: int = 64,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        for name, value in (("hidden_size", hidden_size), ("code_size", code_size)):
            check_at_least_one(name, value)
        if not 0 <= alpha < float("inf"):
            raise ConfigError("alpha", "a number >= 0", alpha)
        self.alpha = alpha
        self.codes = nn.Embedding(num_labels, code_size)
        self.encoder = nn.Linear(code_size, hidden_size)
        self.similarity = nn.Linear(num_labels, num_labels)

    def label_vectors(self) -> Tensor:
        """Return L, (V, D)."""
        return torch.tanh(self.encoder(self.codes.weight))

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> (N,). Raises ShapeError for a hidden state of another size or dtype."""
        if rows.hidden.shape[1] != self.encoder.out_features:
            raise ShapeError("hidden", f"shape (..., {self.encoder.out_features})", f"(..., {rows.hidden.shape[1]})")
        check_same_dtype("the loss", self.similarity.weight, rows.hidden)
        confusion = upcast(self.similarity(rows.hidden @ self.label_vectors().T))
        return {"confusion": confusion_divergence(log_p, rows.labels, confusion, self.alpha)}
