"""The label confusion model against a NumPy implementation by row."""

import numpy as np
import pytest
import torch

from labelemb import LabelConfusionLoss
from labelemb.errors import ConfigError, ShapeError

from .cases import LABELS, SIZE, make_case


def softmax(z: np.ndarray) -> np.ndarray:
    exps = np.exp(z - z.max())
    return exps / exps.sum()


def test_value_equals_the_definition() -> None:
    case = make_case("label_confusion")
    loss = case.loss
    numbers = {name: value.detach().numpy() for name, value in loss.state_dict().items()}
    vectors = np.tanh(numbers["codes.weight"] @ numbers["encoder.weight"].T + numbers["encoder.bias"])
    total = 0.0
    for h, z, y in zip(case.hidden.detach().numpy(), case.logits().detach().numpy(), case.targets, strict=True):
        confusion = softmax(numbers["similarity.weight"] @ (vectors @ h) + numbers["similarity.bias"])
        simulated = softmax(4 * np.eye(LABELS)[y] + confusion)
        total += (simulated * np.log(simulated / softmax(z))).sum() / len(case.targets)
    out = loss(case.hidden, case.head, case.targets)
    assert float(out.loss.detach()) == pytest.approx(total)
    assert list(out.terms) == ["confusion"]


def test_all_parameters_get_gradients() -> None:
    case = make_case("label_confusion")
    case.loss(case.hidden, case.head, case.targets).loss.backward()
    assert all(parameter.grad.any() for parameter in case.loss.parameters())
    assert case.loss.label_vectors().shape == (LABELS, SIZE)


def test_large_alpha_gives_one_hot_targets() -> None:
    case = make_case("label_confusion")
    case.loss.alpha = 60.0
    got = case.loss(case.hidden, case.head, case.targets).loss
    torch.testing.assert_close(got, torch.nn.functional.cross_entropy(case.head(case.hidden), case.targets))


def test_mismatched_hidden_state_is_rejected() -> None:
    case = make_case("label_confusion")
    with pytest.raises(ShapeError, match=r"hidden: expected shape \(\.\.\., 4\), got \(\.\.\., 3\)"):
        case.loss(case.hidden[:, :3], torch.nn.Linear(3, LABELS).double(), case.targets)
    with pytest.raises(ShapeError, match="hidden: expected the dtype of the loss, torch.float32"):
        case.loss.float()(case.hidden, case.head, case.targets)


def test_invalid_arguments() -> None:
    for arguments, message in (
        ((0, LABELS), "hidden_size: expected a whole number >= 1, got 0"),
        ((SIZE, LABELS, -1.0), "alpha: expected a number >= 0, got -1.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            LabelConfusionLoss(*arguments)
