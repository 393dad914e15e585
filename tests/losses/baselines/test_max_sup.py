"""MaxSup: weight schedule and relation to label smoothing."""

import pytest
import torch

from labelemb import LabelSmoothingLoss, MaxSupLoss
from labelemb.errors import ConfigError

from .cases import make_case


def test_equals_label_smoothing_for_correct_predictions() -> None:
    """Label smoothing suppresses the logit of the label, MaxSup the largest logit."""
    case = make_case("max_sup")
    correct = case.logits().argmax(1)
    got = MaxSupLoss(0.3)(case.hidden, case.head, correct)
    torch.testing.assert_close(got.loss, LabelSmoothingLoss(0.3)(case.hidden, case.head, correct).loss)
    wrong = case.logits().argmin(1)
    got = MaxSupLoss(0.3)(case.hidden, case.head, wrong)
    assert got.loss > LabelSmoothingLoss(0.3)(case.hidden, case.head, wrong).loss


def test_weight_increases_per_epoch() -> None:
    loss = MaxSupLoss(0.1, 0.3, epochs=4)
    weights = []
    for _ in range(6):
        weights.append(loss.weight)
        loss.epoch_end()
    assert weights == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3, 0.3])
    constant = MaxSupLoss(0.2)
    constant.epoch_end()
    assert constant.weight == 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "^weight: .*>= 0.*-1.0"),
        ({"final_weight": float("inf"), "epochs": 2}, "^final_weight: .*inf"),
        ({"final_weight": 0.2}, "^epochs: .*None"),
    ],
)
def test_invalid_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaxSupLoss(**arguments)
