"""Error rates, and statistics of the rows of a label embedding. N rows, V labels."""

from statistics import fmean

import torch
from torch import Tensor


def error_percent(correct: Tensor | int, count: Tensor | int) -> float:
    """Return the error rate in percent.

    Args:
        correct: Number of correct predictions.
        count: Number of predictions.

    Example:
        >>> error_percent(3, 4)
        25.0
    """
    return 100.0 * (1.0 - int(correct) / int(count))


def errors_by_label(correct: Tensor, labels: Tensor, num_labels: int) -> list[float | None]:
    """Return the error rate of each label in percent, None for a label without rows.

    Args:
        correct: Whether each prediction is correct, bool or 0 and 1, (N,).
        labels: True labels, int64, (N,).
        num_labels: V.

    Example:
        >>> errors_by_label(torch.tensor([1, 0, 1]), torch.tensor([0, 0, 1]), 3)
        [50.0, 0.0, None]
    """
    counts = torch.bincount(labels, minlength=num_labels).tolist()
    hits = torch.bincount(labels, weights=correct.double(), minlength=num_labels).tolist()
    return [error_percent(round(hit), count) if count else None for hit, count in zip(hits, counts, strict=True)]


def f1_by_label(predicted: Tensor, labels: Tensor, num_labels: int) -> list[float | None]:
    """Return the F1 score of each label in percent, ``2 TP / (2 TP + FP + FN)``; None for a label that never occurs.

    Args:
        predicted: Predicted labels, int64, (N,).
        labels: True labels, int64, (N,).
        num_labels: Number of labels.

    Example:
        >>> f1_by_label(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]), 3)
        [80.0, 0.0, None]
    """
    hits = torch.bincount(labels[predicted == labels], minlength=num_labels).tolist()
    sizes = (torch.bincount(predicted, minlength=num_labels) + torch.bincount(labels, minlength=num_labels)).tolist()
    return [200 * hit / size if size else None for hit, size in zip(hits, sizes, strict=True)]


def macro_f1(predicted: Tensor, labels: Tensor, num_labels: int) -> float:
    """Return the mean over labels of the F1 score, in percent; labels that never occur are left out.

    Args:
        predicted: Predicted labels, int64, (N,).
        labels: True labels, int64, (N,).
        num_labels: Number of labels.

    Example:
        >>> macro_f1(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0]), 3)
        100.0
    """
    return fmean(score for score in f1_by_label(predicted, labels, num_labels) if score is not None)


def balanced_accuracy(correct: Tensor, labels: Tensor, num_labels: int) -> float:
    """Return the mean over labels of the share of correct rows, in percent; labels without rows are left out.

    Args:
        correct: Whether each row is correct, bool or 0 and 1, (N,).
        labels: True labels, int64, (N,).
        num_labels: Number of labels.

    Example:
        >>> balanced_accuracy(torch.tensor([1, 0, 1]), torch.tensor([0, 0, 1]), 3)
        75.0
    """
    counts = torch.bincount(labels, minlength=num_labels)
    found = torch.bincount(labels, weights=correct.double(), minlength=num_labels)
    return 100 * float((found[counts > 0] / counts[counts > 0]).mean())


def true_label_mass(soft_labels: Tensor) -> float:
    """Return the mean probability that a soft label gives to its own label: 1 for one-hot, 1/V for uniform.

    Args:
        soft_labels: Rows that sum to 1, (V, V).
    """
    return float(soft_labels.detach().diagonal().mean())


def mean_entropy(soft_labels: Tensor) -> float:
    """Return the mean entropy of the rows in nats: 0 for one-hot, log V for uniform.

    Args:
        soft_labels: Rows that sum to 1, (V, V).
    """
    return float(torch.special.entr(soft_labels.detach()).sum(dim=1).mean())
