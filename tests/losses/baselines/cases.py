"""One test case for every method whose loss is a mean over rows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labelemb import (
    DenseLabelEmbedding,
    FrozenLabelEmbeddingLoss,
    LabelConfusionLoss,
    LabelRelaxationLoss,
    LabelSmoothingLoss,
    LinearCrossEntropyLoss,
    MarginSmoothingLoss,
    MaxSupLoss,
    OnlineLabelSmoothingLoss,
    PSKDLoss,
    SoftLabelMatrixLoss,
    TfKDLoss,
)
from labelemb.losses.controls import Matched, Shuffled
from labelemb.losses.row_loss import RowLoss

LABELS, SIZE, ROWS, SAMPLES = 5, 4, 12, 32


def embedding() -> DenseLabelEmbedding:
    torch.manual_seed(3)
    learned = DenseLabelEmbedding(LABELS)
    with torch.no_grad():
        learned.weight.add_(0.5 * torch.randn(LABELS, LABELS))
    return learned


def online() -> OnlineLabelSmoothingLoss:
    torch.manual_seed(4)
    loss = OnlineLabelSmoothingLoss(LABELS)
    loss.soft.copy_(torch.rand(LABELS, LABELS).softmax(1))
    return loss


def past() -> PSKDLoss:
    """Return the loss in the second of three epochs, with every other sample seen."""
    torch.manual_seed(5)
    loss = PSKDLoss(LABELS, SAMPLES, epochs=3)
    loss.past.value[:SAMPLES:2] = torch.randn(SAMPLES, LABELS).softmax(1)[::2]
    loss.epoch_end()
    return loss


def confusion() -> LabelConfusionLoss:
    torch.manual_seed(6)
    return LabelConfusionLoss(SIZE, LABELS, code_size=3)


def suppression() -> MaxSupLoss:
    """Return the loss in the second of three epochs."""
    loss = MaxSupLoss(0.1, 0.4, epochs=3)
    loss.epoch_end()
    return loss


CASES: dict[str, Callable[[], RowLoss]] = {
    "cross_entropy": LinearCrossEntropyLoss,
    "frozen_embedding": lambda: FrozenLabelEmbeddingLoss(embedding(), 0.3),
    "matched_smoothing": lambda: FrozenLabelEmbeddingLoss(embedding(), 0.3, control=Matched()),
    "shuffled_embedding": lambda: FrozenLabelEmbeddingLoss(embedding(), 0.3, control=Shuffled(LABELS, 7)),
    "label_smoothing": LabelSmoothingLoss,
    "soft_label_matrix": lambda: SoftLabelMatrixLoss(embedding().soft_labels().detach(), 0.3),
    "ols": online,
    "ps_kd": past,
    "tf_kd": lambda: TfKDLoss(LABELS),
    "label_relaxation": lambda: LabelRelaxationLoss(LABELS, 0.4),
    "label_confusion": confusion,
    "max_sup": suppression,
    "margin_smoothing": lambda: MarginSmoothingLoss(margin=0.5),
}


@dataclass
class Case:
    loss: RowLoss
    head: nn.Linear
    hidden: torch.Tensor
    targets: torch.Tensor
    index: torch.Tensor

    def logits(self) -> torch.Tensor:
        return self.head(self.hidden.detach())


def make_case(method: str, rows: int = ROWS) -> Case:
    """Return float64 inputs; about half of the rows are predicted correctly."""
    loss = CASES[method]().double()
    torch.manual_seed(0)
    head = nn.Linear(SIZE, LABELS).double()
    hidden = torch.randn(rows, SIZE, dtype=torch.float64, requires_grad=True)
    predicted = head(hidden).argmax(1)
    targets = torch.where(torch.rand(rows) < 0.5, predicted, torch.randint(LABELS, (rows,)))
    return Case(loss, head, hidden, targets, torch.randperm(SAMPLES)[:rows])
