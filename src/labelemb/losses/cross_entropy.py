"""One-hot cross entropy under the call shape of the library: the baseline of every comparison."""

import torch
from torch import Tensor, nn

from labelemb.errors import ShapeError
from labelemb.losses.base import (
    LossOutput,
    Rows,
    check_denominator,
    check_shapes,
    check_values,
    global_sum,
    row_scale,
    upcast,
    wants_value_checks,
)
from labelemb.losses.implementations import Implementation, check_implementation, slab_driver
from labelemb.losses.terms import cross_entropy, predicted_right


class CrossEntropyLoss(nn.Module):
    """H(onehot y, head(h)), a mean over rows. It has no parameters and no state.

    ignore_index  target of rows that are not rows
    value_checks  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    impl, slab_bytes  as in ``LabelEmbeddingLoss``
    """

    def __init__(
        self,
        ignore_index: int = -100,
        value_checks: bool | None = None,
        impl: Implementation = "eager",
        slab_bytes: int | None = None,
    ) -> None:
        super().__init__()
        check_implementation(impl, slab_bytes)
        self.ignore_index, self.value_checks = ignore_index, value_checks
        self.impl, self.slab_bytes = impl, slab_bytes

    def forward(
        self, hidden: Tensor, head: nn.Linear, targets: Tensor, denominator: Tensor | float | None = None
    ) -> LossOutput:
        """hidden (..., D), head D -> V, targets (...) int64.

        Raises ShapeError, DataError. ``denominator`` as in ``LabelEmbeddingLoss.forward``; ``terms`` has "hard" alone.
        """
        weight = getattr(head, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            raise ShapeError("head", "an nn.Linear, from hidden size to labels", type(head).__name__)
        num_labels, hidden_size = weight.shape
        check_shapes(hidden, head, targets, hidden_size, num_labels)
        check_denominator(denominator)
        if wants_value_checks(self.value_checks, hidden):
            check_values(hidden, targets, num_labels, self.ignore_index)
        rows = Rows.of(hidden, targets, self.ignore_index)
        driver = slab_driver(self.impl, num_labels, hidden.device, self.slab_bytes)
        if driver is not None:
            output: LossOutput = driver.cross_entropy_loss(rows, head, denominator)
            return output
        logits = upcast(head(rows.hidden))
        values = cross_entropy(torch.log_softmax(logits, dim=1), rows.labels)
        count = rows.counted.sum()
        total = torch.where(rows.counted, values, 0.0).sum() * row_scale(
            global_sum(count.to(logits.dtype)), denominator
        )
        return LossOutput(
            total=total,
            terms={"hard": total.detach()},
            correct=(predicted_right(logits, rows.labels) & rows.counted).sum(),
            count=count,
        )

    def advance(self) -> None:
        """Take note of an optimiser step; nothing here depends on it."""
