"""Label relaxation against a numerical projection onto the credal set."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from labelemb import LabelRelaxationLoss
from labelemb.errors import ConfigError
from labelemb.functional import relaxed_divergence

from .cases import LABELS


def nearest(p: np.ndarray, y: int, alpha: float) -> float:
    """Minimize KL(t || p) over t >= 0, sum t = 1, t[y] >= 1 - alpha, numerically."""
    start = np.full(len(p), alpha / 2 / (len(p) - 1))
    start[y] = 1 - alpha / 2
    bounds = [(1 - alpha if k == y else 1e-12, 1) for k in range(len(p))]
    found = minimize(
        lambda t: float((t * np.log(t / p)).sum()),
        start,
        bounds=bounds,
        constraints={"type": "eq", "fun": lambda t: t.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return float(found.fun)


@pytest.mark.parametrize("alpha", [0.1, 0.4])
def test_loss_is_the_minimum_divergence(alpha: float) -> None:
    torch.manual_seed(0)
    p = (2 * torch.randn(20, LABELS, dtype=torch.float64)).softmax(1)
    labels = torch.where(torch.rand(20) < 0.5, p.argmax(1), torch.randint(LABELS, (20,)))
    got = relaxed_divergence(p.log(), labels, alpha)
    for row, (value, y) in enumerate(zip(got.tolist(), labels.tolist(), strict=True)):
        assert value == pytest.approx(nearest(p[row].numpy(), y, alpha), abs=1e-5)
    assert (got == 0).any(), "some rows are sure enough"
    assert (got > 0.1).any()


def test_confident_rows_have_zero_and_finite_gradients() -> None:
    z = torch.tensor([[200.0, 0.0, -5.0], [0.0, 200.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    values = relaxed_divergence(z.log_softmax(1), torch.tensor([0, 0, 0]), 0.1)
    values.sum().backward()
    assert values[0] == 0
    assert not z.grad[0].any()
    assert values.isfinite().all()
    assert z.grad.isfinite().all()
    p = z.detach()[2].softmax(0)
    target = 0.1 * p / (1 - p[0])
    target[0] = 0.9
    torch.testing.assert_close(z.grad[2], p - target)


def test_invalid_arguments() -> None:
    with pytest.raises(ConfigError, match="alpha: expected a number above 0 and below 1, got 0"):
        LabelRelaxationLoss(LABELS, 0)
    with pytest.raises(ConfigError, match="2 or more"):
        LabelRelaxationLoss(1)
