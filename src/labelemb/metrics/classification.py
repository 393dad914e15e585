"""Error rate and what the rows of a label embedding say. V labels."""

import torch
from torch import Tensor


def error_percent(correct: Tensor | int, count: Tensor | int) -> float:
    """Return the share of wrong rows in percent.

    >>> error_percent(3, 4)
    25.0
    """
    return 100.0 * (1.0 - int(correct) / int(count))


def errors_by_label(right: Tensor, labels: Tensor, num_labels: int) -> list[float | None]:
    """Return the share of wrong rows in percent of each label, None for a label without rows.

    right (N,) bool or 0 and 1, labels (N,) int64

    >>> errors_by_label(torch.tensor([1, 0, 1]), torch.tensor([0, 0, 1]), 3)
    [50.0, 0.0, None]
    """
    counts = torch.bincount(labels, minlength=num_labels).tolist()
    found = torch.bincount(labels, weights=right.double(), minlength=num_labels).tolist()
    return [error_percent(round(hits), count) if count else None for hits, count in zip(found, counts, strict=True)]


def true_label_mass(soft_labels: Tensor) -> float:
    """Return the mean probability that a soft label gives to its own label: 1 for one-hot, 1/V for uniform.

    soft_labels: (V, V), rows sum to 1
    """
    return float(soft_labels.detach().diagonal().mean())


def mean_entropy(soft_labels: Tensor) -> float:
    """Return the mean entropy of the rows in nats: 0 for one-hot, log V for uniform.

    soft_labels: (V, V), rows sum to 1
    """
    return float(torch.special.entr(soft_labels.detach()).sum(dim=1).mean())
