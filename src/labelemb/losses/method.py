"""How a training method describes itself: its options, its capabilities and how its loss is built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.ops.backends import Implementation
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective

FileKind = Literal["file", "label_embedding"]


@dataclass(frozen=True)
class LossContext:
    """Properties of the model, the data and the run that a loss is built from.

    Args:
        hidden_size: Size D of the hidden state in front of the classifier.
        label_names: Names of the V labels, in the order of the classifier's outputs.
        num_samples: Number of training examples, or None if they have no indices.
        epochs: Epochs of the run.
        steps: Optimizer steps of the run.
        objective: How the terms of the label-embedding loss are combined.
        impl: Implementation of the loss, for methods that have more than ``eager``.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        make_embedding: Creates the label embedding to learn; None: ``DenseLabelEmbedding``, the identity at the start.
        seed: Seed of random numbers that a method draws once, such as a permutation.
    """

    hidden_size: int
    label_names: Sequence[str]
    num_samples: int | None
    epochs: int
    steps: int
    objective: Objective
    impl: Implementation
    ignore_index: int = -100
    make_embedding: Callable[[], LabelEmbedding] | None = None
    seed: int = 0

    @property
    def num_labels(self) -> int:
        """Number of labels V."""
        return len(self.label_names)


@dataclass(frozen=True)
class MethodOptions:
    """Base of the options of a method. Each field is a config key and an option of the command line.

    A field's default is the default of the key, ``Args:`` of the docstring its help text. ``__post_init__`` of a
    subclass raises ConfigError for values out of range.
    """

    def check(self, objective: Objective) -> None:
        """Raise ConfigError if the options contradict the objective of the run."""


@dataclass(frozen=True)
class Method:
    """A training method: everything that the command line, the report and the documentation say about it.

    Args:
        name: Value of ``--method`` and name of the run folder.
        title: What tables and figures call it.
        formula: The loss of an example in one line; y label, p prediction, V labels, H cross entropy.
        build: Creates the loss from the options and the context.
        options: Dataclass of the method's config keys.
        citation: Publication, with arXiv number or venue.
        color: Line color in figures, ``#rrggbb``; None: the next free color.
        required: Config keys that must be given.
        mixed_targets: Whether targets may be ``MixedTargets``: always, only with an embedding from a file, or never.
        chunked: Whether there are implementations besides ``eager``.
        needs_index: Whether the loss needs the index of each training example.
        has_state: Whether training changes the loss's ``state_dict``.
        learns_embedding: Whether a label embedding is learned, unless one is read from a file.
        large_vocabulary: Whether memory allows for tens of thousands of labels (no dense V x V state).
    """

    name: str
    title: str
    formula: str
    build: Callable[[Any, LossContext], Loss]
    options: type[MethodOptions] = MethodOptions
    citation: str = ""
    color: str | None = None
    required: tuple[str, ...] = ()
    mixed_targets: Literal["always", "from file", "never"] = "never"
    chunked: bool = False
    needs_index: bool = False
    has_state: bool = False
    learns_embedding: bool = False
    large_vocabulary: bool = True

    @property
    def keys(self) -> list[str]:
        """Config keys of the method's own options."""
        return [option.name for option in fields(self.options)]

    def check(self, options: MethodOptions, objective: Objective) -> None:
        """Raise ConfigError if an option is missing or contradicts the objective."""
        for key in self.required:
            if not getattr(options, key):
                raise ConfigError(key, f"{FILE_KINDS[self.file_kinds[key]]}, for method {self.name}", None)
        options.check(objective)

    @property
    def file_kinds(self) -> Mapping[str, FileKind]:
        """Options that name a file -> the kind of file."""
        kinds = {option.name: option.metadata.get("file") for option in fields(self.options)}
        return {key: kind for key, kind in kinds.items() if kind is not None}


FILE_KINDS: dict[FileKind, str] = {"file": "a file", "label_embedding": "a file or a run with a label embedding"}


def file_option(kind: FileKind) -> Any:
    """Return a dataclass field for an option that names a file; its default is None.

    Args:
        kind: ``"file"``, or ``"label_embedding"`` if a run folder may stand for the embedding that it learned.
    """
    return field(default=None, metadata={"file": kind})


def required_path(path: Path | str | None) -> Path:
    """Return the path of a required option, which ``Method.check`` has made sure of."""
    assert path is not None
    return Path(path)
