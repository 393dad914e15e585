"""Reuse: a learned label embedding, frozen, teaches a new model."""

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.losses.base import (
    LossOutput,
    Rows,
    check_shapes,
    check_values,
    global_sum,
    row_scale,
    upcast,
    wants_value_checks,
)
from labelemb.losses.embedding import LabelEmbedding
from labelemb.losses.terms import cross_entropy, predicted_right, soft_cross_entropy


class ReusedEmbeddingLoss(nn.Module):
    """beta * H(onehot y, z1) + (1 - beta) * H(softmax(E[y]), z1), both means over rows; E never changes.

    Source: Label Embedding Network, arXiv 1710.10393 ("can be directly adapted for training a new model"). There is no
    auxiliary head and nothing to train here, so the model may be of any size; only the labels must be those of E, in
    its order (``LabelEmbedding.matched`` puts them there).

    embedding     a learned one; it is frozen
    beta          weight of the hard term, 0..1
    ignore_index  target of rows that are not rows
    value_checks  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    """

    def __init__(
        self,
        embedding: LabelEmbedding,
        beta: float = 0.5,
        ignore_index: int = -100,
        value_checks: bool | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ConfigError("beta", "a number from 0 to 1", beta)
        self.embedding = embedding.requires_grad_(False)
        self.beta, self.ignore_index, self.value_checks = beta, ignore_index, value_checks

    def forward(
        self, hidden: Tensor, head: nn.Linear, targets: Tensor, denominator: Tensor | float | None = None
    ) -> LossOutput:
        """hidden (..., D), head D -> V, targets (...) int64.

        ``denominator`` as in ``LabelEmbeddingLoss.forward``; ``terms`` has "hard" and "soft". Raises ShapeError,
        DataError.
        """
        num_labels = self.embedding.num_labels
        check_shapes(hidden, head, targets, head.in_features, num_labels)
        if wants_value_checks(self.value_checks, hidden):
            check_values(hidden, targets, num_labels, self.ignore_index)
        rows = Rows.of(hidden, targets, self.ignore_index)
        logits = upcast(head(rows.hidden))  # (N, V)
        log_p1 = torch.log_softmax(logits, dim=1)
        q = torch.softmax(upcast(self.embedding.rows(rows.labels)), dim=1)  # (N, V)
        count = rows.counted.sum()
        per_row = row_scale(global_sum(count.to(logits.dtype)), denominator)

        def mean(values: Tensor) -> Tensor:
            return torch.where(rows.counted, values, 0.0).sum() * per_row

        hard = self.beta * mean(cross_entropy(log_p1, rows.labels))
        soft = (1 - self.beta) * mean(soft_cross_entropy(log_p1, q))
        return LossOutput(
            total=hard + soft,
            terms={"hard": hard.detach(), "soft": soft.detach()},
            correct=(predicted_right(logits, rows.labels) & rows.counted).sum(),
            count=count,
        )

    def advance(self) -> None:
        """Take note of an optimiser step; nothing here depends on it."""

    def extra_repr(self) -> str:
        """Say what is chosen when the module is printed."""
        return f"num_labels={self.embedding.num_labels}, beta={self.beta}"
