"""One case of every method that is a mean over rows, and the laws that all of them keep."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labelemb import (
    ConfusionLoss,
    CrossEntropyLoss,
    DenseLabelEmbedding,
    OnlineSmoothingLoss,
    PastPredictionLoss,
    RelaxationLoss,
    ReusedEmbeddingLoss,
    SmoothingLoss,
    SoftLabelMatrixLoss,
    VirtualTeacherLoss,
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


def online() -> OnlineSmoothingLoss:
    torch.manual_seed(4)
    loss = OnlineSmoothingLoss(LABELS)
    loss.soft.copy_(torch.rand(LABELS, LABELS).softmax(1))
    return loss


def past() -> PastPredictionLoss:
    """In its second epoch of three; it has seen every other sample."""
    torch.manual_seed(5)
    loss = PastPredictionLoss(LABELS, SAMPLES, epochs=3)
    loss.past.value[:SAMPLES:2] = torch.randn(SAMPLES, LABELS).softmax(1)[::2]
    loss.advance_epoch()
    return loss


def confusion() -> ConfusionLoss:
    torch.manual_seed(6)
    return ConfusionLoss(SIZE, LABELS, code_size=3)


METHODS: dict[str, Callable[[], RowLoss]] = {
    "baseline": CrossEntropyLoss,
    "reuse": lambda: ReusedEmbeddingLoss(embedding(), 0.3),
    "matched": lambda: ReusedEmbeddingLoss(embedding(), 0.3, control=Matched()),
    "shuffled": lambda: ReusedEmbeddingLoss(embedding(), 0.3, control=Shuffled(LABELS, 7)),
    "smoothing": SmoothingLoss,
    "matrix": lambda: SoftLabelMatrixLoss(embedding().soft_labels().detach(), 0.3),
    "ols": online,
    "pskd": past,
    "tfkd": lambda: VirtualTeacherLoss(LABELS),
    "relaxation": lambda: RelaxationLoss(LABELS, 0.4),
    "lcm": confusion,
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
    """In float64; about half of the rows are predicted right."""
    loss = METHODS[method]().double()
    torch.manual_seed(0)
    head = nn.Linear(SIZE, LABELS).double()
    hidden = torch.randn(rows, SIZE, dtype=torch.float64, requires_grad=True)
    predicted = head(hidden).argmax(1)
    targets = torch.where(torch.rand(rows) < 0.5, predicted, torch.randint(LABELS, (rows,)))
    return Case(loss, head, hidden, targets, torch.randperm(SAMPLES)[:rows])
