"""Controls of a learned label embedding: soft labels with its true-label mass but without its structure.

Letters: K rows, V labels, q = softmax(E[y]).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError
from labelemb.functional import matched_smoothing
from labelemb.terms.rank_local import RankLocalState

MAX_SHUFFLED_LABELS = torch.iinfo(torch.int16).max


class Control(nn.Module, ABC):
    """A transform of learned soft labels, ``control(q, labels)``."""

    @abstractmethod
    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """Return the soft labels to train with instead of q.

        Args:
            q: Learned soft labels, shape ``(K, V)``.
            labels: int64, shape ``(K,)``.

        Returns:
            Shape ``(K, V)``.
        """


class Matched(Control):
    """Label smoothing with the learned true-label mass of each label, see ``functional.matched_smoothing``.

    A uniform rest has the highest possible entropy, so where the learned rest is far from uniform (100 labels and more)
    this control is softer than the embedding; ``Shuffled`` keeps both mass and entropy.
    """

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """Return the smoothed labels, shape ``(K, V)``."""
        return matched_smoothing(q, labels)


class Shuffled(Control):
    """Learned soft labels with the off-diagonal entries of each row permuted: ``t[y] = q[y]``, ``t[k] = q[pi_y(k)]``.

    pi_y permutes the labels other than y. It is drawn once for each y from the seed, so it need not be saved. It takes
    ``2 * V * V`` bytes.

    Args:
        num_labels: Number of labels V.
        seed: Seed of the permutations.

    Raises:
        ConfigError: More than 32,767 labels.
    """

    def __init__(self, num_labels: int, seed: int) -> None:
        super().__init__()
        if num_labels > MAX_SHUFFLED_LABELS:
            raise ConfigError(
                "shuffled_embedding", f"at most {MAX_SHUFFLED_LABELS} labels (a permutation for each)", num_labels
            )
        random = torch.Generator().manual_seed(seed)
        permutations = torch.empty(num_labels, num_labels, dtype=torch.int16)
        labels = torch.arange(num_labels, dtype=torch.int16)
        for label in range(num_labels):
            others = torch.cat([labels[:label], labels[label + 1 :]])
            permuted = others[torch.randperm(len(others), generator=random)]
            permutations[label] = torch.cat([permuted[:label], labels[label : label + 1], permuted[label:]])
        self.permutations = RankLocalState(permutations)

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """Return the permuted soft labels, shape ``(K, V)``.

        Raises:
            ShapeError: V is not the number of labels of the permutations.
        """
        permutations = self.permutations.value
        if q.shape[1] != len(permutations):
            raise ShapeError("shuffled_embedding", f"soft labels of {len(permutations)} labels", q.shape[1])
        return q.gather(1, permutations[labels].long())
