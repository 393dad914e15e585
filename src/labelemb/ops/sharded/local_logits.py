"""Logits of the labels of a process, and sums over the labels of all processes."""

import torch
from torch import Tensor

from labelemb.ops.sharded.columns import Columns
from labelemb.terms.collectives import max_over_processes, sum_over_processes
from labelemb.terms.shard import LabelShard


class LocalLogits:
    """Logits of the columns minus each row's largest logit over all labels, ``z - max z``, shape ``(N, C)``.

    Args:
        shifted: These differences.
        columns: Their labels.
        first: First label of this process that has the largest logit, shape ``(N,)``; V where none has it.
    """

    def __init__(self, shifted: Tensor, columns: Columns, first: Tensor) -> None:
        self.shifted, self.columns, self._first = shifted, columns, first
        self._exp: Tensor | None = None  # computed once, for the sum and as soft targets

    @classmethod
    def from_logits(cls, logits: list[Tensor], columns: Columns) -> "list[LocalLogits]":
        """Subtract the largest of all labels; one all-reduce for all the logits, each of shape ``(rows, C)``."""
        shard, found = columns.shard, [_max(z.detach()) for z in logits]
        tops = max_over_processes(torch.cat([value for value, _ in found]), shard)
        largest = torch.split(tops, [len(z) for z in logits])
        result = []
        for z, top, (value, index) in zip(logits, largest, found, strict=True):
            label = columns.labels_of(index) if z.shape[1] else index
            first = torch.where(value == top, label, shard.num_labels)  # of this process's columns
            result.append(cls(z - top[:, None], columns, first))
        return result

    def exp(self, temperature: float = 1.0) -> Tensor:
        """Return ``exp((z - max) / temperature)`` times the weights of the columns, ``(N, C)``."""
        if temperature == 1:
            if self._exp is None:
                self._exp = self.weigh(self.shifted.exp())
            return self._exp
        return self.weigh((self.shifted / temperature).exp())

    def weigh(self, values: Tensor) -> Tensor:
        """Multiply with the weights of the columns."""
        weights = self.columns.weights
        return values if weights is None else values * weights.to(values.dtype)

    def pick(self, labels: Tensor) -> Tensor:
        """Return ``z[y] - max`` where this process holds the label, else 0, ``(N,)``."""
        index, here = self.columns.find(labels)
        if not self.shifted.shape[1]:
            return self.shifted.sum(1)
        return torch.where(here, self.shifted.gather(1, index[:, None]).squeeze(1), 0.0)

    def ties_before(self, labels: Tensor) -> Tensor:
        """Return 1 where a label of this process before the row's has the largest logit, else 0, ``(N,)``."""
        return (self._first < labels).to(self.shifted.dtype)


class SumsOverLabels:
    """Sums over the labels of this process, collected and then all-reduced together."""

    def __init__(self, shard: LabelShard) -> None:
        self._shard, self._names, self._values = shard, list[str](), list[Tensor]()

    def add(self, name: str, values: Tensor) -> None:
        """Add the sums of this process's labels, one per row, under a name."""
        self._names.append(name)
        self._values.append(values)

    def add_prediction(self, name: str, z: LocalLogits, labels: Tensor) -> None:
        """Add what the cross entropy and ``is_correct`` need: the sum of exp, ``z[y]``, labels tied before y."""
        self.add(name, z.exp().sum(1))
        self.add(f"{name}[y]", z.pick(labels))
        self.add(f"{name} ties", z.ties_before(labels))

    def reduce(self) -> dict[str, Tensor]:
        """Return the sums over all labels by name."""
        sums = sum_over_processes(torch.cat(self._values), self._shard)
        parts = torch.split(sums, [len(values) for values in self._values])
        return dict(zip(self._names, parts, strict=True))


def _max(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's largest logit and its first column; -inf where there are no columns."""
    if logits.shape[1]:
        value, index = logits.max(1)
        return value, index
    value = logits.new_full(logits.shape[:1], -torch.inf)
    return value, torch.zeros_like(value, dtype=torch.int64)


def is_correct(sums: dict[str, Tensor], name: str) -> Tensor:
    """Return whether the first label with the largest logit is the row's: its ``z[y] - max`` is exactly 0."""
    return (sums[f"{name}[y]"] == 0) & (sums[f"{name} ties"] == 0)
