"""One-hot cross entropy under the call shape of the library: the baseline of every comparison."""

from torch import Tensor, nn

from labelemb.functional import cross_entropy
from labelemb.losses.row_loss import RowLoss
from labelemb.ops.backends import Implementation, check_implementation, select_backend
from labelemb.terms.output import LossOutput, MixedTargets
from labelemb.terms.rows import Rows


class LinearCrossEntropyLoss(RowLoss):
    """H(onehot y, head(h)), a mean over rows. It has no parameters and no state; ``terms`` has "hard" alone.

    ignore_index  target of rows that are not rows
    validate_args  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    impl, chunk_bytes  as in ``LabelEmbeddingLoss``; mixed targets are for "eager" and "auto" alone
    """

    def __init__(
        self,
        ignore_index: int = -100,
        *,
        validate_args: bool | None = None,
        impl: Implementation = "eager",
        chunk_bytes: int | None = None,
    ) -> None:
        super().__init__(None, ignore_index, validate_args)
        check_implementation(impl, chunk_bytes)
        self.impl, self.chunk_bytes = impl, chunk_bytes
        self.mixes = impl in ("auto", "eager")

    def compute(
        self, rows: Rows, head: nn.Linear, mixed: MixedTargets | None, num_items_in_batch: Tensor | float | None
    ) -> LossOutput:
        """Compute it by the chosen implementation."""
        driver = select_backend(self.impl, head.weight.shape[0], rows.hidden.device, self.chunk_bytes)
        if driver is None or mixed is not None:
            return super().compute(rows, head, mixed, num_items_in_batch)
        output: LossOutput = driver.cross_entropy_loss(rows, head, num_items_in_batch)
        return output

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> -log p[y], (N,)."""
        return {"hard": cross_entropy(log_p, rows.labels)}
