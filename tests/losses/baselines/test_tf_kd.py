"""Tf-KD_reg against torch's kl_div, and its limits."""

import pytest
import torch
from torch.nn import functional as F

from labelemb import TfKDLoss
from labelemb.errors import ConfigError

from .cases import LABELS, ROWS, make_case


@pytest.mark.parametrize(("weight", "tau", "confidence"), [(0.1, 20.0, 0.99), (0.7, 3.0, 0.6), (1.0, 1.0, 0.9)])
def test_value_equals_the_definition(weight: float, tau: float, confidence: float) -> None:
    case = make_case("tf_kd")
    out = TfKDLoss(LABELS, weight, tau, confidence)(case.hidden, case.head, case.targets)
    teacher = torch.full((ROWS, LABELS), (1 - confidence) / (LABELS - 1), dtype=torch.float64)
    teacher[range(ROWS), case.targets] = confidence
    softened = teacher ** (1 / tau)
    softened /= softened.sum(1, keepdim=True)
    z = case.head(case.hidden)
    kl = F.kl_div((z / tau).log_softmax(1), softened, reduction="batchmean")
    torch.testing.assert_close(out.loss, (1 - weight) * F.cross_entropy(z, case.targets) + weight * tau**2 * kl)
    torch.testing.assert_close(out.terms["hard"], ((1 - weight) * F.cross_entropy(z, case.targets)).detach())


def test_equals_label_smoothing_at_temperature_one_up_to_a_constant() -> None:
    case = make_case("tf_kd")
    eps = 0.2
    confidence = 1 - eps + eps / LABELS
    TfKDLoss(LABELS, 1.0, 1.0, confidence)(case.hidden, case.head, case.targets).loss.backward()
    again = case.hidden.detach().requires_grad_()
    F.cross_entropy(case.head(again), case.targets, label_smoothing=eps).backward()
    torch.testing.assert_close(case.hidden.grad, again.grad)


def test_invalid_arguments() -> None:
    for arguments, message in (
        ({"weight": 2}, "weight: expected a number from 0 to 1"),
        ({"tau": 0}, "tau: expected a temperature > 0"),
        ({"confidence": 1}, "confidence: expected a number above 0 and below 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            TfKDLoss(LABELS, **arguments)
    with pytest.raises(ConfigError, match="2 or more"):
        TfKDLoss(1)
