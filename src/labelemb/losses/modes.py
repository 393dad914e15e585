"""The methods by name: what each is made from. Recipes ask ``build_loss``; nothing else knows all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from labelemb.errors import Choices, ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.controls import Control, Matched, Shuffled
from labelemb.losses.cross_entropy import CrossEntropyLoss
from labelemb.losses.embedding import LabelEmbedding
from labelemb.losses.implementations import Implementation
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.objective import Objective
from labelemb.losses.reuse import ReusedEmbeddingLoss
from labelemb.losses.rivals.confusion import ConfusionLoss
from labelemb.losses.rivals.matrix import SoftLabelMatrixLoss, read_soft_labels
from labelemb.losses.rivals.online import OnlineSmoothingLoss
from labelemb.losses.rivals.past import PastPredictionLoss
from labelemb.losses.rivals.relaxation import RelaxationLoss
from labelemb.losses.rivals.smoothing import SmoothingLoss
from labelemb.losses.rivals.virtual_teacher import VirtualTeacherLoss

Mode = Literal[
    "baseline",
    "emb",
    "reuse",
    "smoothing",
    "matched",
    "shuffled",
    "matrix",
    "ols",
    "pskd",
    "tfkd",
    "relaxation",
    "lcm",
]
MODES: tuple[Mode, ...] = get_args(Mode)

# config key -> the modes that have a use for it; in a run of another mode it says nothing
KEYS: dict[str, frozenset[str]] = {
    "embedding": frozenset({"reuse", "matched", "shuffled"}),
    "fade": frozenset({"emb", "matched", "shuffled"}),
    "smoothing": frozenset({"smoothing"}),
    "label_matrix": frozenset({"matrix"}),
    "ols_weight": frozenset({"ols"}),
    "pskd_weight": frozenset({"pskd"}),
    "tfkd_weight": frozenset({"tfkd"}),
    "tfkd_tau": frozenset({"tfkd"}),
    "relaxation": frozenset({"relaxation"}),
    "lcm_alpha": frozenset({"lcm"}),
}
WITH_IMPLEMENTATIONS = ("baseline", "emb")


@dataclass(frozen=True)
class MethodChoices:
    """The choices of a config that are a method's; each mode uses its own.

    objective     emb, and matched and shuffled beside a running embedding; its beta is also the weight of the hard term
                  in matrix and reuse, and in matched and shuffled with an embedding from a file
    fade          share of the soft term's weight that is gone by the end of the run: it makes the objective's soft_end;
                  not with an embedding from a file
    impl          of baseline and emb; the others know eager alone
    embedding     file of a learned label embedding: for reuse; for matched and shuffled instead of a running one
    label_matrix  file of soft labels: for matrix
    smoothing     eps of smoothing
    ols_weight    weight of the hard term in ols
    pskd_weight   of the past prediction in the last epoch
    tfkd_weight   of the virtual teacher; tfkd_tau: its temperature
    relaxation    mass that relaxation lets lie beside the label
    lcm_alpha     how much the label counts in the simulated one of lcm

    Raises ConfigError for a number that is out of its range.
    """

    objective: Objective = field(default_factory=Objective)
    fade: float = 0.0
    impl: Implementation = "eager"
    embedding: Path | None = None
    label_matrix: Path | None = None
    smoothing: float = 0.1
    ols_weight: float = 0.5
    pskd_weight: float = 0.8
    tfkd_weight: float = 0.1
    tfkd_tau: float = 20.0
    relaxation: float = 0.1
    lcm_alpha: float = 4.0

    def __post_init__(self) -> None:
        with Choices() as choices:
            for name in ("fade", "smoothing", "ols_weight", "pskd_weight", "tfkd_weight"):
                value = getattr(self, name)
                choices.expect(0 <= value <= 1, name, "a number from 0 to 1", value)
            choices.expect(0 < self.tfkd_tau < float("inf"), "tfkd_tau", "a temperature > 0", self.tfkd_tau)
            choices.expect(0 < self.relaxation < 1, "relaxation", "a number above 0 and below 1", self.relaxation)
            choices.expect(0 <= self.lcm_alpha < float("inf"), "lcm_alpha", "a number >= 0", self.lcm_alpha)


@dataclass(frozen=True)
class Surroundings:
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


def build_loss(mode: str, choices: MethodChoices, around: Surroundings) -> Loss:
    """Return the loss of a mode.

    Raises ConfigError for choices that it cannot be made from, DataError for a file that is damaged or lacks a label.
    """
    if mode not in BUILDERS:
        raise ConfigError("mode", " or ".join(BUILDERS), repr(mode))
    if mode not in WITH_IMPLEMENTATIONS and choices.impl not in ("auto", "eager"):
        raise ConfigError("impl", f"eager or auto for mode {mode}", repr(choices.impl))
    return BUILDERS[mode](choices, around)


def _baseline(choices: MethodChoices, around: Surroundings) -> Loss:
    return CrossEntropyLoss(around.ignore_index, impl=choices.impl)


def _running(choices: MethodChoices, around: Surroundings, control: Control | None = None) -> Loss:
    objective = choices.objective
    if choices.fade:
        objective = objective.fading(choices.fade, around.steps)
    return LabelEmbeddingLoss(
        around.hidden_size,
        len(around.label_names),
        around.make_embedding() if around.make_embedding else None,
        objective,
        around.ignore_index,
        impl=choices.impl,
        control=control,
    )


def _frozen(choices: MethodChoices, around: Surroundings, control: Control | None = None) -> Loss:
    if choices.embedding is None:
        raise ConfigError("embedding", "a file or a run with a label embedding, for mode reuse", None)
    embedding = LabelEmbedding.load(choices.embedding).matched(around.label_names)
    return ReusedEmbeddingLoss(embedding, choices.objective.beta, around.ignore_index, control=control)


def _controlled(choices: MethodChoices, around: Surroundings, control: Control) -> Loss:
    if choices.embedding is None:
        return _running(choices, around, control)
    if choices.fade:
        raise ConfigError("fade", "0 with an embedding from a file", choices.fade)
    return _frozen(choices, around, control)


def _matched(choices: MethodChoices, around: Surroundings) -> Loss:
    return _controlled(choices, around, Matched())


def _shuffled(choices: MethodChoices, around: Surroundings) -> Loss:
    return _controlled(choices, around, Shuffled(len(around.label_names), around.seed))


def _smoothing(choices: MethodChoices, around: Surroundings) -> Loss:
    return SmoothingLoss(choices.smoothing, around.ignore_index)


def _matrix(choices: MethodChoices, around: Surroundings) -> Loss:
    if choices.label_matrix is None:
        raise ConfigError("label_matrix", "a file with soft labels, for mode matrix", None)
    soft_labels = read_soft_labels(choices.label_matrix, around.label_names)
    return SoftLabelMatrixLoss(soft_labels, choices.objective.beta, around.ignore_index)


def _pskd(choices: MethodChoices, around: Surroundings) -> Loss:
    if around.samples is None:
        raise ConfigError("mode", "one that remembers no samples, for data that does not number them", repr("pskd"))
    size, samples = len(around.label_names), around.samples
    return PastPredictionLoss(size, samples, around.epochs, choices.pskd_weight, around.ignore_index)


def _tfkd(choices: MethodChoices, around: Surroundings) -> Loss:
    size = len(around.label_names)
    return VirtualTeacherLoss(size, choices.tfkd_weight, choices.tfkd_tau, ignore_index=around.ignore_index)


def _relaxation(choices: MethodChoices, around: Surroundings) -> Loss:
    return RelaxationLoss(len(around.label_names), choices.relaxation, around.ignore_index)


def _lcm(choices: MethodChoices, around: Surroundings) -> Loss:
    size = len(around.label_names)
    return ConfusionLoss(around.hidden_size, size, choices.lcm_alpha, ignore_index=around.ignore_index)


def _ols(choices: MethodChoices, around: Surroundings) -> Loss:
    return OnlineSmoothingLoss(len(around.label_names), choices.ols_weight, around.ignore_index)


BUILDERS: dict[str, Callable[[MethodChoices, Surroundings], Loss]] = {
    "baseline": _baseline,
    "emb": _running,
    "reuse": _frozen,
    "smoothing": _smoothing,
    "matched": _matched,
    "shuffled": _shuffled,
    "matrix": _matrix,
    "ols": _ols,
    "pskd": _pskd,
    "tfkd": _tfkd,
    "relaxation": _relaxation,
    "lcm": _lcm,
}
