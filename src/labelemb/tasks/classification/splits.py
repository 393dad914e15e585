"""Deterministic stratified splits. N rows."""

import numpy as np
import torch
from torch import Tensor


def stratified_holdout(labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Split rows into a kept and a held-out part with the same label proportions.

    Args:
        labels: Label of each row, int64 ``(N,)``.
        count: Number of rows to hold out.
        seed: Seed of the permutation; the same seed gives the same split.

    Returns:
        Row indices of the kept and of the held-out part, each sorted.
    """
    rows = np.random.default_rng(seed).permutation(len(labels))
    # The shuffled rows of each label get evenly spaced ranks in (0, 1); the lowest ranks contain each label's share.
    rank = np.empty(len(labels))
    shuffled = labels.numpy()[rows]
    for label in np.unique(shuffled):
        of_label = rows[shuffled == label]
        rank[of_label] = (np.arange(len(of_label)) + 0.5) / len(of_label)
    order = np.argsort(rank, kind="stable")
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    return torch.from_numpy(kept), torch.from_numpy(held)


def limit_per_label(labels: Tensor, num_labels: int, limit: int, seed: int = 0) -> Tensor:
    """Choose at most ``limit`` rows of each label.

    A smaller limit chooses a subset of a larger one; a label with fewer rows keeps all of them.

    Args:
        labels: Label of each row, int64 ``(N,)``.
        num_labels: Number of labels.
        limit: Maximum number of rows per label.
        seed: Seed of the permutation.

    Returns:
        Sorted row indices.
    """
    values = labels.numpy()
    shuffled = np.random.default_rng(seed).permutation(len(values))
    rows = [shuffled[values[shuffled] == label][:limit] for label in range(num_labels)]
    return torch.from_numpy(np.sort(np.concatenate(rows)))
