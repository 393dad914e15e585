"""Label confusion: learned label vectors decide which labels an example could be confused with."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError, check_at_least_one
from labelemb.functional import confusion_divergence
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss
from labelemb.losses.validation import check_same_dtype
from labelemb.terms.reduction import upcast
from labelemb.terms.rows import Rows


class LabelConfusionLoss(RowLoss):
    """Mean over rows of ``functional.confusion_divergence`` with confusion logits ``W (L h) + b``.

    Row k of L ``(V, D)``, the vector of label k, is tanh of a linear map of a learned code; W ``(V, V)`` and b
    ``(V,)`` are learned. h is the hidden state in front of the classifier.
    Source: Guo, Han, Han, Huang, Lu 2021, Label Confusion Learning to Enhance Text Classification Models, AAAI 35,
    arXiv 2012.04987, equations 4 to 6.

    The loss has parameters: train them (``attach``). Terms: "confusion".

    Args:
        hidden_size: Size D of the hidden state.
        num_labels: Number of labels V.
        alpha: Factor of the one-hot label in the simulated label, >= 0.
        code_size: Size of a label's code.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: A size or ``alpha`` is out of range.
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        alpha: float = 4.0,
        code_size: int = 64,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        for name, value in (("hidden_size", hidden_size), ("code_size", code_size)):
            check_at_least_one(name, value)
        check_alpha("alpha", alpha)
        self.alpha = alpha
        self.codes = nn.Embedding(num_labels, code_size)
        self.encoder = nn.Linear(code_size, hidden_size)
        self.similarity = nn.Linear(num_labels, num_labels)

    def label_vectors(self) -> Tensor:
        """Return L, shape ``(V, D)``."""
        return torch.tanh(self.encoder(self.codes.weight))

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """Return the divergence, shape ``(N,)``.

        Raises:
            ShapeError: The hidden state has another size or dtype.
        """
        if rows.hidden.shape[1] != self.encoder.out_features:
            raise ShapeError("hidden", f"shape (..., {self.encoder.out_features})", f"(..., {rows.hidden.shape[1]})")
        check_same_dtype("the loss", self.similarity.weight, rows.hidden)
        confusion = upcast(self.similarity(rows.hidden @ self.label_vectors().T))
        return {"confusion": confusion_divergence(log_p, rows.labels, confusion, self.alpha)}


def check_alpha(name: str, alpha: float) -> None:
    """Raise ConfigError unless alpha is a number >= 0."""
    if not 0 <= alpha < float("inf"):
        raise ConfigError(name, "a number >= 0", alpha)


@dataclass(frozen=True)
class LabelConfusionOptions(MethodOptions):
    """Options of ``label_confusion``.

    Args:
        label_confusion_alpha: ``label_confusion``: factor of the one-hot label in the simulated label, >= 0.
    """

    label_confusion_alpha: float = 4.0

    def __post_init__(self) -> None:
        check_alpha("label_confusion_alpha", self.label_confusion_alpha)


def _build(options: LabelConfusionOptions, context: LossContext) -> LabelConfusionLoss:
    return LabelConfusionLoss(
        context.hidden_size,
        context.num_labels,
        options.label_confusion_alpha,
        ignore_index=context.ignore_index,
    )


METHOD = Method(
    name="label_confusion",
    title="label confusion",
    formula="KL(s, p), s = softmax(a onehot(y) + c), c: similarity of the hidden state to learned label vectors",
    build=_build,
    options=LabelConfusionOptions,
    citation="Guo et al. 2021, arXiv 2012.04987",
    color="#aa4499",
    has_state=True,
    large_vocabulary=False,
)
