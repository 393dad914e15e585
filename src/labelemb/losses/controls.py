"""Controls of a learned embedding: soft labels with the learned own mass, without what was learned beside it.

K rows, V labels; q (K, V) is softmax(E[y]), y (K,) the gold label of each row.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError
from labelemb.functional import matched_smoothing
from labelemb.losses.rank_local import RankLocalState

MOST_SHUFFLED = torch.iinfo(torch.int16).max


class Control(nn.Module, ABC):
    """Turns learned soft labels into those of a control: ``control(q, labels)``, (K, V) and (K,) -> (K, V)."""

    @abstractmethod
    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """Return the soft labels to teach with instead of q."""


class Matched(Control):
    """Label smoothing of the same own mass, label by label: q[y] stays, the rest is spread evenly.

    t[y] = q[y],   t[k] = (1 - q[y]) / (V - 1) for k != y

    Spread evenly the rest has the most entropy it can have, so that where the learned rest is far from even (100 labels
    and more) the control is the softer of the two; ``Shuffled`` keeps mass and entropy alike.

    >>> Matched()(torch.tensor([[0.1, 0.6, 0.3]]), torch.tensor([1]))
    tensor([[0.2000, 0.6000, 0.2000]])
    """

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """(K, V) and (K,) -> (K, V)."""
        return matched_smoothing(q, labels)


class Shuffled(Control):
    """The same numbers in other places: q[y] stays, the rest of each row is permuted.

    t[y] = q[y],   t[k] = q[place_y(k)] for k != y

    place_y permutes the labels other than y. It is drawn for each y by itself from the seed and never changes, so that
    it need not be saved. It takes 2 V * V bytes.

    Raises ConfigError for more than 32,767 labels.
    """

    def __init__(self, num_labels: int, seed: int) -> None:
        super().__init__()
        if num_labels > MOST_SHUFFLED:
            raise ConfigError(
                "shuffled_embedding", f"at most {MOST_SHUFFLED} labels, a permutation for each", num_labels
            )
        random = torch.Generator().manual_seed(seed)
        places = torch.empty(num_labels, num_labels, dtype=torch.int16)
        labels = torch.arange(num_labels, dtype=torch.int16)
        for label in range(num_labels):
            others = torch.cat([labels[:label], labels[label + 1 :]])
            permuted = others[torch.randperm(len(others), generator=random)]
            places[label] = torch.cat([permuted[:label], labels[label : label + 1], permuted[label:]])
        self.places = RankLocalState(places)

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """(K, V) and (K,) -> (K, V). Raises ShapeError for another V."""
        places = self.places.value
        if q.shape[1] != len(places):
            raise ShapeError("shuffled_embedding", f"soft labels of {len(places)} labels", q.shape[1])
        return q.gather(1, places[labels].long())
