"""The five terms of the label-embedding objective: pure, one value per row, no reduction.

N rows, V labels; h hidden state, z1 = head(h), z2 = auxiliary(stopgrad h), e = E[y] the row of the gold label y.
The functions take log-probabilities (a log_softmax over V), so that each softmax is computed once and shared.
Source: Sun, Wei, Ren, Ma 2017, arXiv 1710.10393; both published forms are sums of these (see ``objective.py``).
"""

from typing import Literal

import torch
from torch import Tensor

TERMS = ("hard", "soft", "aux", "embedding", "cap")


def cross_entropy(log_p: Tensor, labels: Tensor) -> Tensor:
    """Terms 1 and 3: H(onehot y, z) = -log p[y].

    log_p (N, V), labels (N,) int64 -> (N,)

    >>> cross_entropy(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
    tensor([0.2877])
    """
    return -log_p.gather(1, labels[:, None]).squeeze(1)


def soft_cross_entropy(log_p: Tensor, soft_targets: Tensor) -> Tensor:
    """Terms 2 and 4: H(stopgrad t, z) = -sum_k t_k log p_k; no gradient reaches the target.

    Term 2 teaches the model with the embedding (log_p of z1, target softmax(e)); term 4 teaches the embedding
    with the auxiliary head (log_p of e, target softmax(z2 / tau)).

    log_p (N, V), soft_targets (N, V), rows sum to 1 -> (N,)

    >>> soft_cross_entropy(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5]]))
    tensor([0.8370])
    """
    return -(soft_targets.detach() * log_p).sum(1)


def confidence_cap(log_p2: Tensor, labels: Tensor, alpha: float, kind: Literal["hinge", "absolute"]) -> Tensor:
    """Term 5 keeps the auxiliary head from becoming one-hot: relu(p2[y] - alpha) or |p2[y] - alpha|.

    log_p2 (N, V), labels (N,) int64 -> (N,)

    >>> confidence_cap(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]), 0.5, "absolute")
    tensor([0.2500])
    """
    excess = log_p2.gather(1, labels[:, None]).squeeze(1).exp() - alpha
    return excess.relu() if kind == "hinge" else excess.abs()


def distillation_targets(logits2: Tensor, tau: float) -> Tensor:
    """Return softmax(z2 / tau), the target of term 4, detached: it never sends a gradient to the auxiliary head.

    logits2 (N, V) -> (N, V)
    """
    return torch.softmax(logits2.detach() / tau, dim=1)


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mask m = [argmax z == y].

    logits (N, V), labels (N,) int64 -> (N,) bool
    """
    return logits.detach().argmax(1) == labels
