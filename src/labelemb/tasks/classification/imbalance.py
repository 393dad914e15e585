"""Labels with different numbers of examples: class weights and balanced sampling. N rows, V labels."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from labelemb.training.seeding import stream_seed

ClassWeights = Literal["none", "balanced"]
Sampling = Literal["shuffled", "balanced"]


def balanced_weights(labels: Tensor, num_labels: int) -> Tensor:
    """Return class weights inversely proportional to the number of rows, ``N / (V n_y)``; their mean over rows is 1.

    V counts the labels that occur; a label without rows has weight 1.

    Args:
        labels: int64 ``(N,)``.
        num_labels: Number of labels.

    Returns:
        Shape ``(num_labels,)``.

    Example:
        >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(labels, minlength=num_labels)
    weights = len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1))
    return torch.where(counts > 0, weights, 1.0)


def balanced_rows(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Return N rows in random order, of every label equally many (up to one).

    The rows of a label are a number of random permutations of its rows, the last one cut: no row of a label occurs
    twice as often as another one within an epoch, give or take one. The result depends on the arguments only.

    Args:
        labels: int64 ``(N,)``.
        seed: Seed of the run.
        epoch: Number of the epoch.

    Returns:
        Row indices, int64 ``(N,)``.
    """
    draw = np.random.default_rng(stream_seed(seed, "balanced", epoch))
    values = labels.cpu().numpy()
    present = draw.permutation(np.unique(values))
    quotas = np.full(len(present), len(values) // len(present))
    quotas[: len(values) % len(present)] += 1
    chosen = []
    for label, quota in zip(present, quotas, strict=True):
        rows = np.flatnonzero(values == label)
        rounds = -(-quota // len(rows))
        chosen.append(np.concatenate([draw.permutation(rows) for _ in range(rounds)])[:quota])
    return torch.from_numpy(draw.permutation(np.concatenate(chosen)))
