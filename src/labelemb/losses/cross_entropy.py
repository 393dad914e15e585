"""One-hot cross entropy under the call shape of the library: the baseline of every comparison."""

from torch import Tensor, nn

from labelemb.losses.base import LossOutput, MixedTargets, Rows
from labelemb.losses.implementations import Implementation, check_implementation, slab_driver
from labelemb.losses.row_loss import RowLoss
from labelemb.losses.terms import cross_entropy


class CrossEntropyLoss(RowLoss):
    """H(onehot y, head(h)), a mean over rows. It has no parameters and no state; ``terms`` has "hard" alone.

    ignore_index  target of rows that are not rows
    value_checks  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    impl, slab_bytes  as in ``LabelEmbeddingLoss``; mixed targets are for "eager" and "auto" alone
    """

    def __init__(
        self,
        ignore_index: int = -100,
        *,
        value_checks: bool | None = None,
        impl: Implementation = "eager",
        slab_bytes: int | None = None,
    ) -> None:
        super().__init__(None, ignore_index, value_checks)
        check_implementation(impl, slab_bytes)
        self.impl, self.slab_bytes = impl, slab_bytes
        self.mixes = impl in ("auto", "eager")

    def compute(
        self, rows: Rows, head: nn.Linear, mixed: MixedTargets | None, denominator: Tensor | float | None
    ) -> LossOutput:
        """Compute it by the chosen implementation."""
        driver = slab_driver(self.impl, head.weight.shape[0], rows.hidden.device, self.slab_bytes)
        if driver is None or mixed is not None:
            return super().compute(rows, head, mixed, denominator)
        output: LossOutput = driver.cross_entropy_loss(rows, head, denominator)
        return output

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> -log p[y], (N,)."""
        return {"hard": cross_entropy(log_p, rows.labels)}
