"""The methods by name: what each is made from. Recipes ask ``build_loss``; nothing else knows all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.controls import Control, Matched, Shuffled
from labelemb.losses.cross_entropy import CrossEntropyLoss
from labelemb.losses.embedding import LabelEmbedding
from labelemb.losses.implementations import Implementation
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.objective import Objective
from labelemb.losses.reuse import ReusedEmbeddingLoss
from labelemb.losses.rivals.online import OnlineSmoothingLoss
from labelemb.losses.rivals.smoothing import SmoothingLoss

Mode = Literal["baseline", "emb", "reuse", "smoothing", "matched", "shuffled", "ols"]
MODES: tuple[Mode, ...] = get_args(Mode)

# config key -> the modes that have a use for it; in a run of another mode it says nothing
KEYS: dict[str, frozenset[str]] = {
    "embedding": frozenset({"reuse", "matched", "shuffled"}),
    "smoothing": frozenset({"smoothing"}),
    "ols_weight": frozenset({"ols"}),
}
WITH_IMPLEMENTATIONS = ("baseline", "emb")


@dataclass(frozen=True)
class MethodChoices:
    """The choices of a config that are a method's; each mode uses its own.

    objective   emb, and matched and shuffled beside a running embedding; its beta is also the weight of the hard term
                in reuse, and in matched and shuffled with an embedding from a file
    impl        of baseline and emb; the others know eager alone
    embedding   file of a learned label embedding: for reuse; for matched and shuffled instead of a running one
    smoothing   eps of smoothing
    ols_weight  weight of the hard term in ols
    """

    objective: Objective = field(default_factory=Objective)
    impl: Implementation = "eager"
    embedding: Path | None = None
    smoothing: float = 0.1
    ols_weight: float = 0.5


@dataclass(frozen=True)
class Surroundings:
    """What model and data give a method to work with.

    hidden_size     D
    label_names     V of them
    ignore_index    target of rows that are not rows
    make_embedding  makes the embedding that is learned; None: dense, the identity at the start
    seed            of what a method draws once and for all
    """

    hidden_size: int
    label_names: Sequence[str]
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
    return LabelEmbeddingLoss(
        around.hidden_size,
        len(around.label_names),
        around.make_embedding() if around.make_embedding else None,
        choices.objective,
        around.ignore_index,
        choices.impl,
        control=control,
    )


def _frozen(choices: MethodChoices, around: Surroundings, control: Control | None = None) -> Loss:
    if choices.embedding is None:
        raise ConfigError("embedding", "a file or a run with a label embedding, for mode reuse", None)
    embedding = LabelEmbedding.load(choices.embedding).matched(around.label_names)
    return ReusedEmbeddingLoss(embedding, choices.objective.beta, around.ignore_index, control=control)


def _controlled(choices: MethodChoices, around: Surroundings, control: Control) -> Loss:
    return (_running if choices.embedding is None else _frozen)(choices, around, control)


def _matched(choices: MethodChoices, around: Surroundings) -> Loss:
    return _controlled(choices, around, Matched())


def _shuffled(choices: MethodChoices, around: Surroundings) -> Loss:
    return _controlled(choices, around, Shuffled(len(around.label_names), around.seed))


def _smoothing(choices: MethodChoices, around: Surroundings) -> Loss:
    return SmoothingLoss(choices.smoothing, around.ignore_index)


def _ols(choices: MethodChoices, around: Surroundings) -> Loss:
    return OnlineSmoothingLoss(len(around.label_names), choices.ols_weight, around.ignore_index)


BUILDERS: dict[str, Callable[[MethodChoices, Surroundings], Loss]] = {
    "baseline": _baseline,
    "emb": _running,
    "reuse": _frozen,
    "smoothing": _smoothing,
    "matched": _matched,
    "shuffled": _shuffled,
    "ols": _ols,
}
