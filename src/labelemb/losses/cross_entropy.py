"""One-hot cross entropy under the call signature of the library: the baseline of every comparison."""

from dataclasses import replace

from torch import Tensor, nn

from labelemb.functional import cross_entropy
from labelemb.losses.label_shards import ShardedLoss
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss
from labelemb.ops.backends import Implementation, check_implementation, select_backend
from labelemb.ops.inputs import HARD_ONLY, ObjectiveInputs
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import Group
from labelemb.terms.rows import Rows
from labelemb.terms.shard import LabelShard


class LinearCrossEntropyLoss(ShardedLoss, RowLoss):
    """``H(onehot y, head(h))``, a mean over rows: ``nn.CrossEntropyLoss`` of the head's logits.

    It has no parameters and no state. Terms: "hard".

    Args:
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: Whether to check for labels out of range and NaN; None: on a CPU only (a GPU would wait).
        impl: As in ``LabelEmbeddingLoss``; "chunked" and "fused" take no mixed targets.
        chunk_bytes: As in ``LabelEmbeddingLoss``.
        process_group: Data-parallel group whose rows are counted; None: the default group.
        shard: As in ``LabelEmbeddingLoss``.

    Raises:
        ConfigError: For an implementation that cannot run.

    Example:
        >>> import torch
        >>> head = nn.Linear(8, 3)
        >>> out = LinearCrossEntropyLoss()(torch.zeros(5, 8), head, torch.tensor([0, 1, 2, 0, -100]))
        >>> int(out.count)
        4
    """

    def __init__(
        self,
        ignore_index: int = -100,
        *,
        validate_args: bool | None = None,
        impl: Implementation = "auto",
        chunk_bytes: int | None = None,
        process_group: Group = None,
        shard: LabelShard | None = None,
    ) -> None:
        super().__init__(None, ignore_index, validate_args)
        check_implementation(impl, chunk_bytes)
        self.impl, self.chunk_bytes, self.process_group = impl, chunk_bytes, process_group
        self.use_shard(shard, impl)

    @property
    def supports_mixed_targets(self) -> bool:
        """Whether targets may be ``MixedTargets``: not where the implementation is "chunked" or "fused"."""
        return self.impl in ("auto", "eager")

    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Compute it by the chosen implementation."""
        inputs = ObjectiveInputs(rows, head, HARD_ONLY, group=self.data_parallel_group)
        if self.is_sharded:
            output = self.compute_sharded(inputs, self.impl, self.chunk_bytes)
        else:
            backend = select_backend(self.impl, inputs, self.chunk_bytes)
            if backend is None:
                return super().compute(rows, head)
            output = backend.label_embedding_loss(inputs)
        return replace(output, terms={"hard": output.terms["hard"]}, weights={})

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return -log p[y], shape ``(N,)``."""
        return {"hard": cross_entropy(log_p, rows.labels)}


def _build(options: MethodOptions, context: LossContext) -> LinearCrossEntropyLoss:
    return LinearCrossEntropyLoss(context.ignore_index, impl=context.impl)


METHOD = Method(
    name="cross_entropy",
    title="one-hot",
    formula="H(onehot(y), p)",
    build=_build,
    color="#d55e00",
    mixed_targets="always",
    chunked=True,
)
