"""Margin-based label smoothing, including its two limits."""

import pytest
import torch
from torch.nn import functional as F

from labelemb import MarginSmoothingLoss, MaxSupLoss
from labelemb.errors import ConfigError

from .cases import make_case


def test_limits_are_max_suppression_and_cross_entropy() -> None:
    case = make_case("margin_smoothing")
    arguments = (case.hidden, case.head, case.targets)
    torch.testing.assert_close(MarginSmoothingLoss(0.0, 0.2)(*arguments).loss, MaxSupLoss(0.2)(*arguments).loss)
    one_hot = F.cross_entropy(case.head(case.hidden), case.targets)
    torch.testing.assert_close(MarginSmoothingLoss(1e3, 0.2)(*arguments).loss, one_hot)


def test_only_logits_beyond_the_margin_have_a_penalty() -> None:
    head = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
    logits = torch.tensor([[5.0, 4.0, 1.0]], requires_grad=True)
    targets, pulled = torch.tensor([0]), []
    for weight in (0.0, 0.3):
        loss = MarginSmoothingLoss(margin=2.0, weight=weight)(logits, head, targets).loss
        pulled.append(torch.autograd.grad(loss, logits)[0])
    torch.testing.assert_close(pulled[1] - pulled[0], torch.tensor([[0.1, 0.0, -0.1]]))


@pytest.mark.parametrize("name", ["margin", "weight"])
def test_invalid_arguments(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: .*>= 0.*-1"):
        MarginSmoothingLoss(**{name: -1})
