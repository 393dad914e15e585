"""Controls of a learned embedding: soft labels as soft as the learned ones, without what was learned.

K rows, V labels; q (K, V) is softmax(E[y]), y (K,) the gold label of each row.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError

MOST_SHUFFLED = torch.iinfo(torch.int16).max


class Control(nn.Module, ABC):
    """Turns learned soft labels into those of a control: ``control(q, labels)``, (K, V) and (K,) -> (K, V)."""

    @abstractmethod
    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """Return the soft labels to teach with instead of q."""


class Matched(Control):
    """Label smoothing of the same own mass, label by label: q[y] stays, the rest is spread evenly.

    t[y] = q[y],   t[k] = (1 - q[y]) / (V - 1) for k != y

    >>> Matched()(torch.tensor([[0.1, 0.6, 0.3]]), torch.tensor([1]))
    tensor([[0.2000, 0.6000, 0.2000]])
    """

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """(K, V) and (K,) -> (K, V)."""
        own = q.gather(1, labels[:, None])
        rest = (1 - own) / max(q.shape[1] - 1, 1)
        return rest.expand_as(q).scatter(1, labels[:, None], own)


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
            raise ConfigError("shuffled", f"at most {MOST_SHUFFLED} labels, a permutation for each", num_labels)
        random = torch.Generator().manual_seed(seed)
        places = torch.empty(num_labels, num_labels, dtype=torch.int16)
        labels = torch.arange(num_labels, dtype=torch.int16)
        for label in range(num_labels):
            others = torch.cat([labels[:label], labels[label + 1 :]])
            permuted = others[torch.randperm(len(others), generator=random)]
            places[label] = torch.cat([permuted[:label], labels[label : label + 1], permuted[label:]])
        # No buffer: data parallelism would send it round at every step, and not every backend can send int16.
        self.places = places

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let ``to(device)`` move the permutations."""
        self.places = fn(self.places)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """(K, V) and (K,) -> (K, V)."""
        return q.gather(1, self.places[labels].long())
