"""A learned label embedding, frozen, as the teacher of a new model."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.losses.controls import Control
from labelemb.losses.label_shards import ShardedLoss, split_embedding
from labelemb.losses.method import LossContext, Method, MethodOptions, file_option, required_path
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import Group, upcast
from labelemb.terms.rows import Rows
from labelemb.terms.shard import LabelShard


class FrozenLabelEmbeddingLoss(ShardedLoss, SoftTargetLoss):
    """Train with a label embedding E learned before: ``beta * H(onehot(y), p) + (1 - beta) * H(softmax(E[y]), p)``.

    Both terms are means over rows; E does not change. There is no auxiliary head, so the model may have any hidden
    size; its labels must be those of E in the same order (``LabelEmbedding.select`` reorders).
    Source: Sun, Wei, Ren, Ma 2017, Label Embedding Network, arXiv 1710.10393 ("can be directly adapted for training a
    new model").

    Args:
        embedding: A learned label embedding; a frozen copy is kept.
        beta: Weight of the hard term, 0 to 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.
        control: Optional transform of the soft targets (``labelemb.losses.controls``).
        process_group: Data-parallel group whose rows are counted; None: the default group.
        shard: As in ``LabelEmbeddingLoss``; without a control.

    Raises:
        ConfigError: ``embedding`` is not a label embedding, ``beta`` is out of range, or a shard comes with a control.
    """

    supports_mixed_targets = True

    def __init__(
        self,
        embedding: LabelEmbedding,
        beta: float = 0.5,
        ignore_index: int = -100,
        validate_args: bool | None = None,
        control: Control | None = None,
        *,
        process_group: Group = None,
        shard: LabelShard | None = None,
    ) -> None:
        if not isinstance(embedding, LabelEmbedding):
            raise ConfigError(
                "embedding",
                "a label embedding of this library",
                type(embedding).__name__,
                "For a matrix of probabilities: SoftLabelMatrixLoss",
            )
        super().__init__(embedding.num_labels, ignore_index, validate_args)
        check_weight("beta", beta)
        if shard is not None and control is not None:
            raise ConfigError("control", "None with shard", "a control")
        self.use_shard(shard)
        self.embedding = copy.deepcopy(split_embedding(embedding, shard)).requires_grad_(False)
        self.hard_weight, self.control, self.process_group = beta, control, process_group

    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Compute the loss, of all labels or of a shard."""
        if self.is_sharded:
            return self.compute_soft_targets(rows, head, self.hard_weight, self.embedding)
        return super().compute(rows, head)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return softmax(E[y]), transformed by the control if there is one, shape ``(N, V)``."""
        q = torch.softmax(upcast(self.embedding.rows(rows.labels)), dim=1)
        return q if self.control is None else self.control(q, rows.labels)

    def extra_repr(self) -> str:
        """Return the arguments for ``repr``."""
        return f"num_labels={self.num_labels}, beta={self.hard_weight}"


@dataclass(frozen=True)
class FrozenEmbeddingOptions(MethodOptions):
    """Options of ``frozen_embedding``.

    Args:
        embedding: ``frozen_embedding``, ``matched_smoothing``, ``shuffled_embedding``: learned label embedding, a
            .safetensors file or a run folder; labels are matched by name. ``frozen_embedding`` requires it; the
            other two learn one if it is not given.
    """

    embedding: str | None = file_option("label_embedding")


def build_frozen(
    options: FrozenEmbeddingOptions, context: LossContext, control: Control | None = None
) -> FrozenLabelEmbeddingLoss:
    """Return the loss with the embedding of ``options.embedding``, its labels in the order of ``context``."""
    embedding = LabelEmbedding.load(required_path(options.embedding)).select(context.label_names)
    return FrozenLabelEmbeddingLoss(embedding, context.objective.beta, context.ignore_index, control=control)


METHOD = Method(
    name="frozen_embedding",
    title="frozen embedding",
    formula="H(t, p), t = beta onehot(y) + (1 - beta) softmax(E[y]), E learned before and frozen",
    build=build_frozen,
    options=FrozenEmbeddingOptions,
    citation="Sun et al. 2017, arXiv 1710.10393",
    color="#009e73",
    required=("embedding",),
    mixed_targets="always",
)
