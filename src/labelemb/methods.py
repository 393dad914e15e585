"""The methods by name: what each is made from. Recipes ask ``build_loss``; nothing else knows all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from labelemb.errors import Choices, ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.baselines.label_confusion import LabelConfusionLoss
from labelemb.losses.baselines.label_relaxation import LabelRelaxationLoss
from labelemb.losses.baselines.label_smoothing import LabelSmoothingLoss
from labelemb.losses.baselines.online_label_smoothing import OnlineLabelSmoothingLoss
from labelemb.losses.baselines.ps_kd import PSKDLoss
from labelemb.losses.baselines.soft_label_matrix import SoftLabelMatrixLoss, read_soft_labels
from labelemb.losses.baselines.tf_kd import TfKDLoss
from labelemb.losses.controls import Control, Matched, Shuffled
from labelemb.losses.cross_entropy import LinearCrossEntropyLoss
from labelemb.losses.frozen import FrozenLabelEmbeddingLoss
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.ops.backends import Implementation
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective

MethodName = Literal[
    "cross_entropy",
    "label_embedding",
    "frozen_embedding",
    "label_smoothing",
    "matched_smoothing",
    "shuffled_embedding",
    "soft_label_matrix",
    "ols",
    "ps_kd",
    "tf_kd",
    "label_relaxation",
    "label_confusion",
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)

# config key -> the methods that have a use for it; in a run of another method it says nothing
KEYS: dict[str, frozenset[str]] = {
    "embedding": frozenset({"frozen_embedding", "matched_smoothing", "shuffled_embedding"}),
    "soft_decay": frozenset({"label_embedding", "matched_smoothing", "shuffled_embedding"}),
    "smoothing": frozenset({"label_smoothing"}),
    "label_matrix": frozenset({"soft_label_matrix"}),
    "ols_weight": frozenset({"ols"}),
    "ps_kd_weight": frozenset({"ps_kd"}),
    "tf_kd_weight": frozenset({"tf_kd"}),
    "tf_kd_tau": frozenset({"tf_kd"}),
    "relaxation": frozenset({"label_relaxation"}),
    "label_confusion_alpha": frozenset({"label_confusion"}),
}
WITH_IMPLEMENTATIONS = ("cross_entropy", "label_embedding")


@dataclass(frozen=True)
class MethodConfig:
    """The choices of a config that are a method's; each method uses its own.

    objective     label_embedding, and matched and shuffled beside a running embedding; its beta is also the weight of the hard term
                  in matrix and reuse, and in matched and shuffled with an embedding from a file
    soft_decay          share of the soft term's weight that is gone by the end of the run: it makes the objective's soft_end;
                  not with an embedding from a file
    impl          of baseline and label_embedding; the others know eager alone
    embedding     file of a learned label embedding: for reuse; for matched and shuffled instead of a running one
    label_matrix  file of soft labels: for matrix
    smoothing     eps of smoothing
    ols_weight    weight of the hard term in ols
    ps_kd_weight   of the past prediction in the last epoch
    tf_kd_weight   of the virtual teacher; tf_kd_tau: its temperature
    relaxation    mass that relaxation lets lie beside the label
    label_confusion_alpha     how much the label counts in the simulated one of label_confusion

    Raises ConfigError for a number that is out of its range.
    """

    objective: Objective = field(default_factory=Objective)
    soft_decay: float = 0.0
    impl: Implementation = "eager"
    embedding: Path | None = None
    label_matrix: Path | None = None
    smoothing: float = 0.1
    ols_weight: float = 0.5
    ps_kd_weight: float = 0.8
    tf_kd_weight: float = 0.1
    tf_kd_tau: float = 20.0
    relaxation: float = 0.1
    label_confusion_alpha: float = 4.0

    def __post_init__(self) -> None:
        with Choices() as choices:
            for name in ("soft_decay", "smoothing", "ols_weight", "ps_kd_weight", "tf_kd_weight"):
                value = getattr(self, name)
                choices.expect(0 <= value <= 1, name, "a number from 0 to 1", value)
            choices.expect(0 < self.tf_kd_tau < float("inf"), "tf_kd_tau", "a temperature > 0", self.tf_kd_tau)
            choices.expect(0 < self.relaxation < 1, "relaxation", "a number above 0 and below 1", self.relaxation)
            choices.expect(
                0 <= self.label_confusion_alpha < float("inf"),
                "label_confusion_alpha",
                "a number >= 0",
                self.label_confusion_alpha,
            )


@dataclass(frozen=True)
class LossContext:
    """What model and data give a method to work with.

    hidden_size     D
    label_names     V of them
    ignore_index    target of rows that are not rows
    samples         rows of the training data, where each has a number
    epochs          of the run; steps: of its optimiser
    make_embedding  makes the embedding that is learned; None: dense, the identity at the start
    seed            of what a method draws once and for all
    """

    hidden_size: int
    label_names: Sequence[str]
    samples: int | None
    epochs: int
    steps: int
    ignore_index: int = -100
    make_embedding: Callable[[], LabelEmbedding] | None = None
    seed: int = 0


def build_loss(method: str, choices: MethodConfig, around: LossContext) -> Loss:
    """Return the loss of a method.

    Raises ConfigError for choices that it cannot be made from, DataError for a file that is damaged or lacks a label.
    """
    if method not in BUILDERS:
        raise ConfigError("method", " or ".join(BUILDERS), repr(method))
    if method not in WITH_IMPLEMENTATIONS and choices.impl not in ("auto", "eager"):
        raise ConfigError("impl", f"eager or auto for method {method}", repr(choices.impl))
    return BUILDERS[method](choices, around)


def _baseline(choices: MethodConfig, around: LossContext) -> Loss:
    return LinearCrossEntropyLoss(around.ignore_index, impl=choices.impl)


def _running(choices: MethodConfig, around: LossContext, control: Control | None = None) -> Loss:
    objective = choices.objective
    if choices.soft_decay:
        objective = objective.with_soft_decay(choices.soft_decay, around.steps)
    return LabelEmbeddingLoss(
        around.hidden_size,
        len(around.label_names),
        around.make_embedding() if around.make_embedding else None,
        objective,
        around.ignore_index,
        impl=choices.impl,
        control=control,
    )


def _frozen(choices: MethodConfig, around: LossContext, control: Control | None = None) -> Loss:
    if choices.embedding is None:
        raise ConfigError("embedding", "a file or a run with a label embedding, for method frozen_embedding", None)
    embedding = LabelEmbedding.load(choices.embedding).select(around.label_names)
    return FrozenLabelEmbeddingLoss(embedding, choices.objective.beta, around.ignore_index, control=control)


def _controlled(choices: MethodConfig, around: LossContext, control: Control) -> Loss:
    if choices.embedding is None:
        return _running(choices, around, control)
    if choices.soft_decay:
        raise ConfigError("soft_decay", "0 with an embedding from a file", choices.soft_decay)
    return _frozen(choices, around, control)


def _matched(choices: MethodConfig, around: LossContext) -> Loss:
    return _controlled(choices, around, Matched())


def _shuffled(choices: MethodConfig, around: LossContext) -> Loss:
    return _controlled(choices, around, Shuffled(len(around.label_names), around.seed))


def _smoothing(choices: MethodConfig, around: LossContext) -> Loss:
    return LabelSmoothingLoss(choices.smoothing, around.ignore_index)


def _matrix(choices: MethodConfig, around: LossContext) -> Loss:
    if choices.label_matrix is None:
        raise ConfigError("label_matrix", "a file with soft labels, for method soft_label_matrix", None)
    soft_labels = read_soft_labels(choices.label_matrix, around.label_names)
    return SoftLabelMatrixLoss(soft_labels, choices.objective.beta, around.ignore_index)


def _pskd(choices: MethodConfig, around: LossContext) -> Loss:
    if around.samples is None:
        raise ConfigError("method", "one that remembers no samples, for data that does not number them", repr("ps_kd"))
    size, samples = len(around.label_names), around.samples
    return PSKDLoss(size, samples, around.epochs, choices.ps_kd_weight, around.ignore_index)


def _tfkd(choices: MethodConfig, around: LossContext) -> Loss:
    size = len(around.label_names)
    return TfKDLoss(size, choices.tf_kd_weight, choices.tf_kd_tau, ignore_index=around.ignore_index)


def _relaxation(choices: MethodConfig, around: LossContext) -> Loss:
    return LabelRelaxationLoss(len(around.label_names), choices.relaxation, around.ignore_index)


def _lcm(choices: MethodConfig, around: LossContext) -> Loss:
    size = len(around.label_names)
    return LabelConfusionLoss(around.hidden_size, size, choices.label_confusion_alpha, ignore_index=around.ignore_index)


def _ols(choices: MethodConfig, around: LossContext) -> Loss:
    return OnlineLabelSmoothingLoss(len(around.label_names), choices.ols_weight, around.ignore_index)


BUILDERS: dict[str, Callable[[MethodConfig, LossContext], Loss]] = {
    "cross_entropy": _baseline,
    "label_embedding": _running,
    "frozen_embedding": _frozen,
    "label_smoothing": _smoothing,
    "matched_smoothing": _matched,
    "shuffled_embedding": _shuffled,
    "soft_label_matrix": _matrix,
    "ols": _ols,
    "ps_kd": _pskd,
    "tf_kd": _tfkd,
    "label_relaxation": _relaxation,
    "label_confusion": _lcm,
}
