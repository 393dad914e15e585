"""Each pure term by gradcheck in its live input, and the gradients that must not be."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.autograd import gradcheck

from labelemb.functional import (
    confidence_cap,
    cross_entropy,
    distillation_targets,
    is_correct,
    margin_penalty,
    max_suppression,
    soft_cross_entropy,
)

LABELS = torch.tensor([0, 2, 1, 3])


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_gradients() -> None:
    soft = torch.softmax(logits(1).detach(), 1)
    assert gradcheck(lambda z: cross_entropy(z.log_softmax(1), LABELS), logits())
    assert gradcheck(lambda z: soft_cross_entropy(z.log_softmax(1), soft), logits())
    for kind in ("hinge", "absolute"):
        assert gradcheck(lambda z, kind=kind: confidence_cap(z.log_softmax(1), LABELS, 0.2, kind), logits())


def test_targets_get_no_gradient() -> None:
    target = torch.softmax(logits(1), 1)
    value = soft_cross_entropy(logits().log_softmax(1), target)
    assert value.requires_grad
    assert not torch.autograd.grad(value.sum(), target, allow_unused=True)[0]
    assert not distillation_targets(logits(), 2.0).requires_grad


def test_hand_computed() -> None:
    log_p = torch.tensor([[0.5, 0.25, 0.25]]).log()
    label = torch.tensor([1])
    assert float(cross_entropy(log_p, label)) == pytest.approx(math.log(4))
    assert float(soft_cross_entropy(log_p, torch.tensor([[0.5, 0.5, 0.0]]))) == pytest.approx(1.5 * math.log(2))
    assert float(confidence_cap(log_p, label, 0.2, "hinge")) == pytest.approx(0.05)
    assert float(confidence_cap(log_p, label, 0.9, "hinge")) == 0
    assert float(confidence_cap(log_p, label, 0.9, "absolute")) == pytest.approx(0.65)
    assert is_correct(log_p, label).tolist() == [False]


def test_temperature_flattens() -> None:
    z = torch.tensor([[2.0, 0.0]])
    assert float(distillation_targets(z, 2.0)[0, 0]) == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("penalty", [max_suppression, lambda z: margin_penalty(z, 0.5)])
def test_logit_penalties(penalty: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """A shift of all logits changes nothing, so that log-probabilities may be given; equal logits cost nothing."""
    z = logits()
    torch.testing.assert_close(penalty(z), penalty(z.log_softmax(1)))
    assert gradcheck(penalty, z)
    assert not penalty(torch.ones(3, 4)).any()
    assert (penalty(z) > 0).all()


def test_logit_penalties_by_hand() -> None:
    z = torch.tensor([[4.0, 1.0, 0.0, -1.0]])
    assert float(max_suppression(z)) == 3
    assert float(margin_penalty(z, 2.0)) == pytest.approx((1 + 2 + 3) / 4)
    assert float(margin_penalty(z, 5.0)) == 0
