"""Risk and coverage: by hand, and laws."""

import pytest
import torch

from labelemb.errors import ConfigError, DataError
from labelemb.metrics.selective import accuracy_at_coverage, aurc


def sample(rows: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    confidence = torch.rand(rows, generator=random)
    return confidence, torch.rand(rows, generator=random) < confidence


def test_the_area_is_the_mean_of_the_risks() -> None:
    confidence, correct = sample()
    order = confidence.argsort(descending=True)
    risks = [100 * (1 - float(correct[order[:kept]].double().mean())) for kept in range(1, len(order) + 1)]
    assert aurc(confidence, correct) == pytest.approx(sum(risks) / len(risks))
    assert accuracy_at_coverage(confidence, correct, 0.8) == pytest.approx(100 - risks[239])
    assert accuracy_at_coverage(confidence, correct, 1.0) == pytest.approx(100 * float(correct.double().mean()))


def test_sorting_errors_last_is_best() -> None:
    _, correct = sample()
    best, worst = aurc(correct.float(), correct), aurc(1 - correct.float(), correct)
    assert best < aurc(*sample()) < worst


def test_only_the_order_of_the_confidences_counts() -> None:
    confidence, correct = sample()
    assert aurc(confidence**3, correct) == pytest.approx(aurc(confidence, correct))


def test_rows_of_equal_confidence_may_come_in_any_order() -> None:
    confidence, correct = torch.full((10,), 0.5), torch.tensor([1, 0] * 5)
    assert aurc(confidence, correct) == pytest.approx(50)
    assert accuracy_at_coverage(confidence, correct, 0.5) == pytest.approx(50)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    mixed = torch.tensor([0.5, 0.5, 0.9, 0.9, 0.9, 0.1, 0.5, 0.1, 0.2, 0.5])
    assert aurc(mixed[order], correct[order]) == pytest.approx(aurc(mixed, correct))


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="one row or more"):
        aurc(torch.zeros(0), torch.zeros(0))
    for coverage in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match=r"a share in \(0, 1\]"):
            accuracy_at_coverage(*sample(), coverage)
