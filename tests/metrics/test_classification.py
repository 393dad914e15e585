import math

import pytest
import torch

from labelemb.metrics.classification import error_percent, mean_entropy, true_label_mass


def test_figures() -> None:
    assert error_percent(torch.tensor(97), 100) == pytest.approx(3.0)
    rows = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert true_label_mass(rows) == pytest.approx((0.5 + 1 + 1 / 3) / 3)
    assert mean_entropy(rows) == pytest.approx((math.log(2) + 0 + math.log(3)) / 3)
