"""Calibration errors, Brier score and temperature, against scikit-learn, scipy and figures made by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss

from labelemb.errors import ConfigError, DataError, LabelembError
from labelemb.metrics.calibration import (
    RowScores,
    adaptive_calibration_error,
    calibrate_head,
    calibration_error,
    fit_temperature,
    pinned,
)


def drawn(rows: int = 400, labels: int = 5, temperature: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from their softmax at a temperature: calibrated there."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    p = torch.softmax(logits / temperature, dim=1)
    return logits, torch.multinomial(p, 1, generator=generator).squeeze(1)


def test_likelihood_and_brier_are_those_of_scikit_learn() -> None:
    logits, labels = drawn()
    p = torch.softmax(logits, dim=1).numpy()
    metrics = RowScores.of(logits, labels).metrics()
    assert metrics["nll"] == pytest.approx(log_loss(labels, p))
    assert metrics["brier"] == pytest.approx(brier_score_loss(labels, p, scale_by_half=False))


def test_calibration_error_by_hand() -> None:
    confidence = torch.tensor([0.15, 0.2, 0.21, 0.95, 1.0], dtype=torch.float64)
    right = torch.tensor([0, 1, 0, 1, 0])
    # 5 bins: (0, 0.2] 0.15 0.2: |1 - 0.35|; (0.2, 0.4] 0.21: |0 - 0.21|; (0.8, 1] 0.95 1.0: |1 - 1.95|
    assert calibration_error(confidence, right, bins=5) == pytest.approx(100 * (0.65 + 0.21 + 0.95) / 5)
    # 2 bins of 3 and 2 rows: |1 - 0.56|, |1 - 1.95|
    assert adaptive_calibration_error(confidence, right, bins=2) == pytest.approx(100 * (0.44 + 0.95) / 5)


def test_confidence_one_is_in_the_last_bin_and_zero_in_the_first() -> None:
    ones, zeros = torch.ones(3), torch.zeros(2)
    assert calibration_error(ones, torch.tensor([1, 1, 1])) == 0
    assert calibration_error(torch.cat([ones, zeros]), torch.tensor([1, 1, 0, 0, 1])) == pytest.approx(40)


def test_bins_of_equally_many_rows_do_not_part_rows_of_equal_confidence() -> None:
    half = torch.full((3000,), 0.5)
    right = torch.arange(3000) % 2
    assert adaptive_calibration_error(half, right) == 0
    assert adaptive_calibration_error(half, right.sort().values) == 0
    assert adaptive_calibration_error(half, torch.zeros(3000)) == pytest.approx(50)
    levels = torch.randint(1, 7, (20_000,), generator=torch.Generator().manual_seed(0)) / 7
    drawn_right = torch.rand(20_000, generator=torch.Generator().manual_seed(1)) < levels
    assert adaptive_calibration_error(levels, drawn_right) < 1


@pytest.mark.parametrize("error", [calibration_error, adaptive_calibration_error])
def test_the_order_of_rows_does_not_matter(error) -> None:  # type: ignore[no-untyped-def]
    confidence = torch.randint(1, 10, (101,), generator=torch.Generator().manual_seed(1)) / 10  # many are equal
    right = torch.rand(101, generator=torch.Generator().manual_seed(2)) < confidence
    order = torch.randperm(101, generator=torch.Generator().manual_seed(3))
    assert error(confidence, right) == pytest.approx(error(confidence[order], right[order]), abs=1e-9)


def test_a_calibrated_classifier_has_a_small_error_and_an_overconfident_one_a_large() -> None:
    logits, labels = drawn(20_000)
    good, bad = RowScores.of(logits, labels).metrics(), RowScores.of(3 * logits, labels).metrics()
    for name in ("ece", "adaptive_ece"):
        assert good[name] < 1.5
        assert bad[name] > 10


def test_temperature_is_found_again() -> None:
    logits, labels = drawn(20_000, temperature=1.7)
    assert fit_temperature(logits, labels) == pytest.approx(1.7, rel=0.05)
    scaled = RowScores.of(logits / 1.7, labels)
    assert torch.equal(scaled.correct, RowScores.of(logits, labels).correct)
    assert np.isclose(
        float(scaled.nll.mean()),
        RowScores.of(logits / fit_temperature(logits, labels), labels).metrics()["nll"],
        atol=1e-3,
    )
    assert not pinned(fit_temperature(logits, labels))
    with pytest.raises(DataError, match="rows"):
        fit_temperature(logits[:0], labels[:0])


def test_temperature_of_small_logits() -> None:
    """Those of a network after a few training steps."""
    logits, labels = drawn(20_000)
    assert fit_temperature(logits / 40, labels) == pytest.approx(1 / 40, rel=0.05)


def test_calibrated_heads_have_a_weight() -> None:
    logits, labels = drawn()
    with pytest.raises(ConfigError, match=r"head: expected a module with a weight of shape .*, got ReLU"):
        calibrate_head(torch.nn.ReLU(), logits, labels)


def test_a_head_that_cannot_be_calibrated_is_not_changed() -> None:
    logits, _ = drawn()
    head = torch.nn.Linear(3, logits.shape[1])
    weight = head.weight.detach().clone()
    with pytest.raises(DataError, match="0 of .* wrong"):
        calibrate_head(head, logits, logits.argmax(dim=1))
    assert torch.equal(head.weight, weight)


def test_rows_that_are_all_right_or_all_wrong_pin_the_temperature() -> None:
    logits, _ = drawn()
    assert pinned(fit_temperature(logits, logits.argmax(dim=1)))
    assert pinned(fit_temperature(logits, logits.argmin(dim=1)))


LOGITS, RIGHT = drawn(temperature=1.7)  # 400 rows and 5 labels; some predictions are wrong


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS.clone().fill_(math.nan), RIGHT, "logits: expected finite numbers, got NaN or infinity"),
        (LOGITS, RIGHT[:-1], r"labels: expected int64 labels of shape \(400,\), got torch.int64 \(399,\)"),
        (LOGITS, RIGHT.float(), r"labels: expected int64 labels of shape \(400,\), got torch.float32 \(400,\)"),
        (LOGITS, RIGHT + 5, "labels: expected labels from 0 to 4, got"),
        (LOGITS, torch.cat([RIGHT[1:], torch.tensor([-100])]), "labels: expected labels from 0 to 4, got -100"),
        (LOGITS.numpy(), RIGHT, r"logits: expected a tensor of shape \(N, 5\), N >= 1, got ndarray"),
        (LOGITS, RIGHT.tolist(), r"labels: expected int64 labels of shape \(400,\), got list"),
        (LOGITS[:, :4], RIGHT.clamp(max=3), r"logits: expected shape \(N, 5\), N >= 1, got \(400, 4\)"),
        (LOGITS[:0], RIGHT[:0], r"logits: expected shape \(N, 5\), N >= 1, got \(0, 5\)"),
        (LOGITS, LOGITS.argmax(1), "logits: expected at least one wrong prediction, got 0 of 400 wrong"),
        (LOGITS, LOGITS.argmin(1), "logits: expected predictions that are mostly correct, got 400 of 400 wrong"),
        (LOGITS / 1e6, RIGHT, "logits: expected logits that differ enough"),
    ],
)
def test_what_a_head_cannot_be_calibrated_on(logits: Any, labels: Any, message: str) -> None:
    head = torch.nn.Linear(4, 5)
    weight, bias = head.weight.clone(), head.bias.clone()
    with pytest.raises(LabelembError, match=message):
        calibrate_head(head, logits, labels)
    assert torch.equal(head.weight, weight)
    assert torch.equal(head.bias, bias)


class LowRank(torch.nn.Linear):
    """A layer with an adapter, as LoRA adds one: its weight is not all of its output."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().forward(hidden) + hidden.sum(-1, keepdim=True)


class Cosine(torch.nn.Linear):
    """A classifier that does not depend on the length of its weights."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden, torch.nn.functional.normalize(self.weight))


@pytest.mark.parametrize("kind", [LowRank, Cosine])
def test_a_head_with_an_output_of_another_form_is_refused(kind: type[torch.nn.Linear]) -> None:
    head = kind(4, 5)
    weight = head.weight.clone()
    with pytest.raises(ConfigError, match="head: expected a layer whose output is proportional to its weight and bias"):
        calibrate_head(head, LOGITS, RIGHT)
    assert torch.equal(head.weight, weight)


def test_a_head_in_bfloat16_is_calibrated() -> None:
    head = torch.nn.Linear(4, 5).bfloat16()
    weight = head.weight.clone()
    temperature = calibrate_head(head, LOGITS, RIGHT)
    torch.testing.assert_close(head.weight.float(), weight.float() / temperature, rtol=0.01, atol=0.0)


def test_temperature_is_that_of_scipy() -> None:
    """And it needs no scipy, which the core of the package does not install."""
    scipy = pytest.importorskip("scipy.optimize")

    def nll(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(LOGITS.double() / math.exp(log_temperature), RIGHT))

    found = scipy.minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(LOGITS, RIGHT) == pytest.approx(math.exp(found.x), rel=1e-6)
