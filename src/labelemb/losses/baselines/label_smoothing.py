"""Label smoothing: the same soft part for every label and every example."""

from dataclasses import dataclass

from torch import Tensor, nn

from labelemb.losses.label_shards import ShardedLoss
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import Group
from labelemb.terms.rows import Rows
from labelemb.terms.shard import LabelShard


class LabelSmoothingLoss(ShardedLoss, SoftTargetLoss):
    """Cross entropy with smoothed labels, as ``nn.CrossEntropyLoss(label_smoothing=...)``.

    ``H(t, p)`` with ``t = (1 - eps) * onehot(y) + eps / V``, mean over rows.
    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, arXiv 1512.00567, section 7.

    Args:
        smoothing: eps, 0 to 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.
        process_group: Data-parallel group whose rows are counted; None: the default group.
        shard: As in ``LabelEmbeddingLoss``.

    Raises:
        ConfigError: ``smoothing`` is not in 0 to 1.
    """

    supports_mixed_targets = True

    def __init__(
        self,
        smoothing: float = 0.1,
        ignore_index: int = -100,
        validate_args: bool | None = None,
        *,
        process_group: Group = None,
        shard: LabelShard | None = None,
    ) -> None:
        super().__init__(None, ignore_index, validate_args)
        check_weight("smoothing", smoothing)
        self.hard_weight, self.process_group = 1 - smoothing, process_group
        self.use_shard(shard)

    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Compute the loss, of all labels or of a shard."""
        if self.is_sharded:
            return self.compute_soft_targets(rows, head, self.hard_weight)
        return super().compute(rows, head)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return 1 / V, shape ``(1, 1)``."""
        return like.new_full((1, 1), 1 / like.shape[1])


@dataclass(frozen=True)
class LabelSmoothingOptions(MethodOptions):
    """Options of ``label_smoothing``.

    Args:
        smoothing: ``label_smoothing``: probability mass spread evenly over all labels, 0 to 1.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        check_weight("smoothing", self.smoothing)


def _build(options: LabelSmoothingOptions, context: LossContext) -> LabelSmoothingLoss:
    return LabelSmoothingLoss(options.smoothing, context.ignore_index)


METHOD = Method(
    name="label_smoothing",
    title="label smoothing",
    formula="H(t, p), t = (1 - eps) onehot(y) + eps / V",
    build=_build,
    options=LabelSmoothingOptions,
    citation="Szegedy et al. 2016, arXiv 1512.00567",
    color="#cc79a7",
    mixed_targets="always",
)
