"""Online label smoothing against a loop over rows."""

import math

import pytest
import torch
from torch import nn

from labelemb import OnlineLabelSmoothingLoss

from .cases import LABELS, SIZE


def mean_prediction(batches: list[tuple[list[list[float]], list[int]]]) -> list[list[float]]:
    """Return the mean softmax of the correctly predicted rows by label."""
    sums, counts = [[0.0] * LABELS for _ in range(LABELS)], [0] * LABELS
    for logits, labels in batches:
        for z, y in zip(logits, labels, strict=True):
            if z.index(max(z)) == y:
                exps = [math.exp(v) for v in z]
                sums[y] = [s + e / sum(exps) for s, e in zip(sums[y], exps, strict=True)]
                counts[y] += 1
    return [[s / max(n, 1) for s in row] for row, n in zip(sums, counts, strict=True)]


def test_three_epochs_follow_the_definition() -> None:
    torch.manual_seed(0)
    loss, soft = OnlineLabelSmoothingLoss(LABELS), [[0.0] * LABELS for _ in range(LABELS)]
    for epoch in range(3):
        seen = []
        for _ in range(4):
            head, hidden = nn.Linear(SIZE, LABELS), torch.randn(10, SIZE)
            labels = torch.where(torch.rand(10) < 0.5, head(hidden).argmax(1), torch.randint(LABELS - 1, (10,)))
            out = loss(hidden, head, labels)
            logits = head(hidden).tolist()
            seen.append((logits, labels.tolist()))
            hard = soft_part = 0.0
            for z, y in zip(*seen[-1], strict=True):
                norm = math.log(sum(math.exp(v) for v in z))
                hard += 0.5 * (norm - z[y]) / 10
                soft_part += 0.5 * sum(s * (norm - v) for s, v in zip(soft[y], z, strict=True)) / 10
            assert float(out.terms["hard"]) == pytest.approx(hard, rel=1e-5)
            assert float(out.terms["soft"]) == pytest.approx(soft_part, rel=1e-5, abs=1e-7)
            assert epoch or soft_part == 0, "in the first epoch the hard term is alone"
        loss.epoch_end()
        soft = mean_prediction(seen)
        torch.testing.assert_close(loss.soft, torch.tensor(soft))


def test_labels_without_correct_predictions_have_no_soft_label() -> None:
    head = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [1.0]]))
    loss = OnlineLabelSmoothingLoss(2)
    loss(torch.ones(2, 1), head, torch.tensor([0, 1]))
    loss.epoch_end()
    assert not loss.soft[0].any()
    assert float(loss.soft[1].sum()) == pytest.approx(1)
    assert float(loss(torch.ones(1, 1), head, torch.tensor([0])).terms["soft"]) == 0
