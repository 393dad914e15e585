"""The methods ``matched_smoothing`` and ``shuffled_embedding``: controls of label embedding.

Both learn a label embedding while they train, or read one from a file, and replace the soft targets that the model is
trained with (``labelemb.losses.controls``). What label embedding gains over them is the value of its structure.
"""

from dataclasses import dataclass

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.controls import Control, Matched, Shuffled
from labelemb.losses.frozen import FrozenEmbeddingOptions, build_frozen
from labelemb.losses.label_embedding import LabelEmbeddingOptions, build_label_embedding
from labelemb.losses.method import LossContext, Method
from labelemb.terms.objective import Objective


@dataclass(frozen=True)
class ControlOptions(LabelEmbeddingOptions, FrozenEmbeddingOptions):
    """Options of ``matched_smoothing`` and ``shuffled_embedding``: those of both ways to get an embedding."""

    def check(self, objective: Objective) -> None:
        """Raise ConfigError for options of learning with an embedding from a file."""
        super().check(objective)
        if self.embedding and self.soft_decay:
            raise ConfigError("soft_decay", "0 with an embedding from a file", self.soft_decay)
        if self.embedding and self.embedding_rows != 1:
            raise ConfigError("embedding_rows", "1 with an embedding from a file", self.embedding_rows)


def _build(options: ControlOptions, context: LossContext, control: Control) -> Loss:
    if options.embedding:
        return build_frozen(options, context, control)
    return build_label_embedding(options, context, control)


def _build_matched(options: ControlOptions, context: LossContext) -> Loss:
    return _build(options, context, Matched())


def _build_shuffled(options: ControlOptions, context: LossContext) -> Loss:
    return _build(options, context, Shuffled(context.num_labels, context.seed))


MATCHED = Method(
    name="matched_smoothing",
    title="matched smoothing",
    formula="as label_embedding or frozen_embedding; softmax(E[y]) keeps its mass on y, the rest is uniform",
    build=_build_matched,
    options=ControlOptions,
    citation="control",
    color="#e69f00",
    mixed_targets="from file",
    has_state=True,
    learns_embedding=True,
)
SHUFFLED = Method(
    name="shuffled_embedding",
    title="shuffled embedding",
    formula="as label_embedding or frozen_embedding; softmax(E[y]) keeps its mass on y, the rest is permuted",
    build=_build_shuffled,
    options=ControlOptions,
    citation="control",
    color="#56b4e9",
    mixed_targets="from file",
    has_state=True,
    learns_embedding=True,
)
