"""Selective prediction: how many errors remain where a classifier may decline its least confident rows. N rows."""

import math

import torch
from torch import Tensor

from labelemb.errors import ConfigError, DataError

COVERAGE = 0.8


def aurc(confidence: Tensor, correct: Tensor) -> float:
    """Return the area under the risk-coverage curve in percent: lower is better.

    Mean over k = 1..N of the error among the k most confident rows. It depends on accuracy and on how well confidence
    sorts errors last. Source: Geifman, Uziel, El-Yaniv 2019, "Bias-reduced uncertainty estimation".

    Args:
        confidence: (N,), N >= 1.
        correct: (N,) bool or 0 and 1.

    Raises:
        DataError: For no rows.

    Example:
        >>> round(aurc(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 1, 0])), 2)  # (0 + 0 + 1/3) / 3
        11.11
    """
    errors = _sorted_errors(confidence, correct)
    counts = torch.arange(1, len(errors) + 1, dtype=torch.float64, device=errors.device)
    return 100 * float((errors.cumsum(0) / counts).mean())


def accuracy_at_coverage(confidence: Tensor, correct: Tensor, coverage: float = COVERAGE) -> float:
    """Return the accuracy in percent on the most confident share of the rows.

    Args:
        confidence: (N,), N >= 1.
        correct: (N,) bool or 0 and 1.
        coverage: Share of rows that are kept, in (0, 1]; ceil(coverage * N) rows.

    Raises:
        ConfigError: For a coverage outside (0, 1].
        DataError: For no rows.

    Example:
        >>> accuracy_at_coverage(torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([1, 1, 1, 1, 0]))
        100.0
    """
    if not 0 < coverage <= 1:
        raise ConfigError("coverage", "a share in (0, 1]", coverage)
    errors = _sorted_errors(confidence, correct)
    kept = max(1, math.ceil(coverage * len(errors) - 1e-9))
    return 100 * (1 - float(errors[:kept].mean()))


def selective_metrics(confidence: Tensor, correct: Tensor) -> dict[str, float]:
    """Return ``aurc`` and ``accuracy_at_80``, both in percent; arguments and errors as for ``aurc``."""
    return {"aurc": aurc(confidence, correct), "accuracy_at_80": accuracy_at_coverage(confidence, correct)}


def _sorted_errors(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the errors by falling confidence; rows of equal confidence share their mean, whatever their order."""
    if not len(confidence):
        raise DataError("confidence", "one row or more", "none")
    distinct, group = torch.unique(-confidence.double(), return_inverse=True)  # ascending: most confident first
    wrong = 1 - correct.double()
    sums, sizes = (torch.zeros_like(distinct).index_add_(0, group, of) for of in (wrong, torch.ones_like(wrong)))
    return (sums / sizes)[group.sort().values]
