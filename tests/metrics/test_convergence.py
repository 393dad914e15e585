"""Epochs until an error is reached."""

import pytest

from labelemb.metrics.convergence import epochs_until

CURVE = [(1, 30.0), (2, 12.0), (3, 13.0), (4, 11.0)]


@pytest.mark.parametrize(("error", "epoch"), [(50, 1), (12, 2), (11.5, 4), (10, None)])
def test_epochs_until(error: float, epoch: int | None) -> None:
    assert epochs_until(CURVE, error) == epoch


def test_no_evaluation_reaches_nothing() -> None:
    assert epochs_until([], 1.0) is None
