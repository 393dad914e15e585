"""Reuse: a learned label embedding, frozen, teaches a new model; or a control of it does."""

import copy

import torch
from torch import Tensor

from labelemb.losses.controls import Control
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.reduction import upcast
from labelemb.terms.rows import Rows


class FrozenLabelEmbeddingLoss(SoftTargetLoss):
    """beta * H(onehot y, z1) + (1 - beta) * H(softmax(E[y]), z1), both means over rows; E never changes.

    Source: Label Embedding Network, arXiv 1710.10393 ("can be directly adapted for training a new model"). There is no
    auxiliary head and nothing to train here, so the model may be of any size; only the labels must be those of E, in
    its order (``LabelEmbedding.select`` puts them there).

    embedding     a learned one; a frozen copy of it teaches
    beta          weight of the hard term, 0..1
    ignore_index, validate_args  as in ``RowLoss``
    control       teach with what it makes of softmax(E[y]) instead (``controls.py``)
    """

    mixes = True

    def __init__(
        self,
        embedding: LabelEmbedding,
        beta: float = 0.5,
        ignore_index: int = -100,
        validate_args: bool | None = None,
        control: Control | None = None,
    ) -> None:
        super().__init__(embedding.num_labels, ignore_index, validate_args)
        check_weight("beta", beta)
        self.embedding = copy.deepcopy(embedding).requires_grad_(False)
        self.hard_weight, self.control = beta, control

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """softmax(E[y]) or what the control makes of it, (N, V)."""
        q = torch.softmax(upcast(self.embedding.rows(rows.labels)), dim=1)
        return q if self.control is None else self.control(q, rows.labels)

    def extra_repr(self) -> str:
        """Say what is chosen when the module is printed."""
        return f"num_labels={self.num_labels}, beta={self.hard_weight}"
