"""The input of every implementation of the objective."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.reduction import Group, masked_sum
from labelemb.terms.rows import Rows

HEAD_TERMS = ("hard", "soft")
AUXILIARY_TERMS = ("aux", "embedding", "cap")  # those that train the auxiliary head and the label embedding
HARD_ONLY = Objective(mix="sum", terms=frozenset({"hard"}))  # one-hot cross entropy


@dataclass(frozen=True)
class ObjectiveInputs:
    """One batch, the layers that enter the objective, and its options.

    Attributes:
        rows: The flattened batch.
        head: The model's classifier, D -> V.
        objective: The terms in use and their options at this optimizer step.
        auxiliary: The auxiliary head, D -> V; None for plain cross entropy.
        embedding: The label embedding; None for plain cross entropy.
        group: Processes that share the batch; None: the default group.
        sampled: The rows that the auxiliary head and the label embedding learn from; None: all.
    """

    rows: Rows
    head: nn.Module
    objective: Objective
    auxiliary: nn.Module | None = None
    embedding: LabelEmbedding | None = None
    group: Group = None
    sampled: Rows | None = None

    @property
    def auxiliary_rows(self) -> Rows:
        """The rows of the terms aux, embedding and cap."""
        return self.rows if self.sampled is None else self.sampled

    def rows_of(self, term: str) -> Rows:
        """Return the rows that a term is computed on."""
        return self.rows if term in (*HEAD_TERMS, "hard_without_soft") else self.auxiliary_rows

    def chunks(self, count: int) -> "Iterator[tuple[ObjectiveInputs, slice]]":
        """Cut the rows, and the sampled rows, into ``count`` parts of about the same size (at least one part).

        Yields:
            The inputs of a part, and which rows of the batch these are.
        """
        count = max(count, 1)
        for number in range(count):
            ends = [number, number + 1]
            start, stop = (end * len(self.rows.labels) // count for end in ends)
            rows, sampled = slice(start, stop), self.sampled
            if sampled is not None:
                start, stop = (end * len(sampled.labels) // count for end in ends)
                sampled = sampled.take(slice(start, stop))
            yield replace(self, rows=self.rows.take(rows), sampled=sampled), rows

    def sums_over_rows(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the sum of each term over the rows that it is computed on, scalars.

        Args:
            values: Term -> one value per row, shape ``(N,)``, or ``(k,)`` for k sampled rows.
        """
        owners = {name: self.rows_of(name) for name in values}
        return {name: masked_sum(value, owners[name].mask, owners[name].weights) for name, value in values.items()}
