"""What every implementation of the objective takes."""

from dataclasses import dataclass

from torch import nn

from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.reduction import Group
from labelemb.terms.rows import Rows

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
    """

    rows: Rows
    head: nn.Module
    objective: Objective = HARD_ONLY
    auxiliary: nn.Module | None = None
    embedding: LabelEmbedding | None = None
    group: Group = None
