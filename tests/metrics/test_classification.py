import math

import pytest
import torch

from labelemb.metrics.classification import balanced_accuracy, error_percent, macro_f1, mean_entropy, true_label_mass


def test_metrics() -> None:
    assert error_percent(torch.tensor(97), 100) == pytest.approx(3.0)
    rows = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert true_label_mass(rows) == pytest.approx((0.5 + 1 + 1 / 3) / 3)
    assert mean_entropy(rows) == pytest.approx((math.log(2) + 0 + math.log(3)) / 3)


def test_macro_f1_and_balanced_accuracy_equal_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, f1_score

    draw = torch.Generator().manual_seed(0)
    predicted, labels = torch.randint(0, 4, (2, 50), generator=draw)  # label 4 neither occurs nor is predicted
    expected = 100 * f1_score(labels, predicted, average="macro")
    assert macro_f1(predicted, labels, 5) == pytest.approx(expected)
    expected = 100 * balanced_accuracy_score(labels, predicted)
    assert balanced_accuracy(predicted == labels, labels, 5) == pytest.approx(expected)
