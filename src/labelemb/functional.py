"""The formulas of every loss as pure functions: one value per row, no reduction, no state.

Letters: N rows (images or target tokens), V labels, z logits, p = softmax(z), y the label of a row. Functions take
log-probabilities (``log_softmax`` of the logits over V) where they can, so that a softmax that several terms need is
computed once. The modules in ``labelemb.losses`` add input checks, ignored rows, means over rows and state.
"""

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "confidence_cap",
    "confusion_divergence",
    "cross_entropy",
    "distillation_targets",
    "is_correct",
    "margin_penalty",
    "matched_smoothing",
    "max_suppression",
    "mixture",
    "relaxed_divergence",
    "soft_cross_entropy",
    "virtual_teacher_kl",
]

TERMS = ("hard", "soft", "aux", "embedding", "cap")


def cross_entropy(log_p: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy with the one-hot label, ``-log p[y]``.

    Args:
        log_p: Log-probabilities, shape ``(N, V)``.
        labels: int64, shape ``(N,)``.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> cross_entropy(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]))
        tensor([0.2877])
    """
    return -log_p.gather(1, labels[:, None]).squeeze(1)


def soft_cross_entropy(log_p: Tensor, soft_targets: Tensor) -> Tensor:
    """Return the cross entropy with soft targets t, ``-sum_k t_k log p_k``. No gradient reaches the targets.

    Args:
        log_p: Log-probabilities, shape ``(N, V)``.
        soft_targets: Probabilities, shape ``(N, V)`` or broadcastable to it.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> soft_cross_entropy(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5]]))
        tensor([0.8370])
    """
    return -(soft_targets.detach() * log_p).sum(1)


def confidence_cap(log_p: Tensor, labels: Tensor, alpha: float, kind: Literal["hinge", "absolute"]) -> Tensor:
    """Return the penalty on confidence above alpha: ``relu(p[y] - alpha)`` or ``|p[y] - alpha|``.

    Keeps the auxiliary head of the Label Embedding Network from becoming one-hot (Sun et al. 2017, arXiv 1710.10393).

    Args:
        log_p: Log-probabilities of the auxiliary head, shape ``(N, V)``.
        labels: int64, shape ``(N,)``.
        alpha: Probability from which the penalty starts, 0 to 1.
        kind: ``"hinge"`` (published for vision) or ``"absolute"`` (published for sequence to sequence).

    Returns:
        Shape ``(N,)``.

    Example:
        >>> confidence_cap(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]), 0.5, "absolute")
        tensor([0.2500])
    """
    excess = log_p.gather(1, labels[:, None]).squeeze(1).exp() - alpha
    return excess.relu() if kind == "hinge" else excess.abs()


def distillation_targets(logits: Tensor, tau: float) -> Tensor:
    """Return ``softmax(z / tau)`` without gradient: what the label embedding learns from the auxiliary head.

    Args:
        logits: Shape ``(N, V)``.
        tau: Temperature > 0.

    Returns:
        Probabilities, shape ``(N, V)``.

    Example:
        >>> distillation_targets(torch.tensor([[2.0, 0.0]]), tau=2.0)
        tensor([[0.7311, 0.2689]])
    """
    return torch.softmax(logits.detach() / tau, dim=1)


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether the first index of the largest logit is the label.

    Args:
        logits: Logits or log-probabilities, shape ``(N, V)``.
        labels: int64, shape ``(N,)``.

    Returns:
        bool, shape ``(N,)``.

    Example:
        >>> is_correct(torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1]))
        tensor([ True, False])
    """
    return logits.detach().argmax(1) == labels


def matched_smoothing(soft_labels: Tensor, labels: Tensor) -> Tensor:
    """Return label smoothing with the true-label mass of given soft labels q: q[y] stays, the rest is uniform.

    ``t[y] = q[y]``, ``t[k] = (1 - q[y]) / (V - 1)`` for k != y.

    Args:
        soft_labels: Probabilities, shape ``(N, V)``.
        labels: int64, shape ``(N,)``.

    Returns:
        Probabilities, shape ``(N, V)``.

    Example:
        >>> matched_smoothing(torch.tensor([[0.1, 0.6, 0.3]]), torch.tensor([1]))
        tensor([[0.2000, 0.6000, 0.2000]])
    """
    true_label_mass = soft_labels.gather(1, labels[:, None])
    rest = (1 - true_label_mass) / max(soft_labels.shape[1] - 1, 1)
    return rest.expand_as(soft_labels).scatter(1, labels[:, None], true_label_mass)


def mixture(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return the value of rows with two labels (mixup, CutMix), ``w v(a) + (1 - w) v(b)``, from the value of each.

    Every term of every loss is mixed like this; ``v(y)`` is its value if the row had the label y alone. For a term that
    is linear in the target, such as a cross entropy, this is its value for the mixed target ``w t(a) + (1 - w) t(b)``.
    In the Label Embedding Network the embedding term of a label is 0 unless the auxiliary head predicts that label, so
    a soft label learns only from predictions with their maximum at its own label, as without mixing.

    Args:
        first: Values with the first label, shape ``(N,)``.
        second: Values with the second label, shape ``(N,)``.
        weight: Weight w of the first label, 0 to 1, shape ``(N,)``.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> mixture(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([0.75]))
        tensor([1.5000])
    """
    return weight * first + (1 - weight) * second


def relaxed_divergence(log_p: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Return the smallest ``KL(t || p)`` over all targets t with ``t[y] >= 1 - alpha`` (label relaxation).

    0 where ``p[y] >= 1 - alpha``, else
    ``(1 - alpha) log((1 - alpha) / p[y]) + alpha log(alpha / (1 - p[y]))``.
    Source: Lienen, Huellermeier 2021, From Label Smoothing to Label Relaxation, AAAI 35, equations 6 to 8.

    Args:
        log_p: Log-probabilities, shape ``(N, V)``, V >= 2.
        labels: int64, shape ``(N,)``.
        alpha: Probability that the target may give to the other labels, 0 < alpha < 1.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> relaxed_divergence(torch.tensor([[0.5, 0.5], [0.05, 0.95]]).log(), torch.tensor([1, 1]), 0.1)
        tensor([0.3681, 0.0000])
    """
    own = log_p.gather(1, labels[:, None])
    others = log_p.scatter(1, labels[:, None], -torch.inf).logsumexp(1)  # log(1 - p[y]), exact for p[y] near 1
    kl = (1 - alpha) * (math.log(1 - alpha) - own[:, 0]) + alpha * (math.log(alpha) - others)
    return torch.where(own[:, 0] >= math.log(1 - alpha), 0.0, kl)


def confusion_divergence(log_p: Tensor, labels: Tensor, confusion: Tensor, alpha: float) -> Tensor:
    """Return ``KL(s || p)`` with the simulated label ``s = softmax(alpha * onehot(y) + softmax(c))``.

    Gradients reach both p and the confusion logits c.
    Source: Guo et al. 2021, Label Confusion Learning, arXiv 2012.04987, equations 4 to 6.

    Args:
        log_p: Log-probabilities, shape ``(N, V)``.
        labels: int64, shape ``(N,)``.
        confusion: Confusion logits c, shape ``(N, V)``.
        alpha: Weight of the true label in the simulated one, >= 0.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> confusion_divergence(torch.zeros(1, 2).log_softmax(1), torch.tensor([1]), torch.zeros(1, 2), 0.0)
        tensor([0.])
    """
    c = torch.softmax(confusion, dim=1)
    log_s = torch.log_softmax(c.scatter_add(1, labels[:, None], torch.full_like(c[:, :1], alpha)), dim=1)
    return (log_s.exp() * (log_s - log_p)).sum(1)


def virtual_teacher_kl(log_p: Tensor, labels: Tensor, confidence: float, tau: float) -> Tensor:
    """Return ``KL(u_tau || p_tau)`` with the virtual teacher u of teacher-free distillation (Tf-KD).

    ``u[y] = confidence``, ``u[k] = (1 - confidence) / (V - 1)`` for k != y; both are softened:
    ``u_tau = softmax(log u / tau)``, ``p_tau = softmax(log p / tau)``.
    Source: Yuan, Tay, Li, Wang, Feng 2020, arXiv 1909.11723, equations 9 and 10.

    Args:
        log_p: Log-probabilities, shape ``(N, V)``, V >= 2.
        labels: int64, shape ``(N,)``.
        confidence: The teacher's probability of the label, between 0 and 1.
        tau: Temperature > 0.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> virtual_teacher_kl(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([1]), 0.75, 1.0)
        tensor([0.])
    """
    rest = (1 - confidence) / (log_p.shape[1] - 1)
    u = torch.full_like(log_p, rest).scatter(1, labels[:, None], confidence)
    log_u = torch.log_softmax(u.log() / tau, dim=1)
    return (log_u.exp() * (log_u - torch.log_softmax(log_p / tau, dim=1))).sum(1)


def max_suppression(logits: Tensor) -> Tensor:
    """Return how far the largest logit is above the mean one, ``max_k z_k - mean_k z_k`` (MaxSup).

    Source: Zhou et al. 2025, MaxSup: Overcoming Representation Collapse in Label Smoothing, arXiv 2502.15798.

    Args:
        logits: Logits or log-probabilities (the value is the same), shape ``(N, V)``.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> max_suppression(torch.tensor([[3.0, 0.0, 0.0]]))
        tensor([2.])
    """
    return logits.amax(1) - logits.mean(1)


def margin_penalty(logits: Tensor, margin: float) -> Tensor:
    """Return the mean excess of logit distances over a margin, ``mean_k max(0, max_j z_j - z_k - margin)`` (MbLS).

    Source: Liu, Ben Ayed, Galdran, Dolz 2022, The Devil is in the Margin, CVPR, arXiv 2111.15430, equation 6.

    Args:
        logits: Logits or log-probabilities (the value is the same), shape ``(N, V)``.
        margin: Distance to the largest logit that costs nothing, >= 0.

    Returns:
        Shape ``(N,)``.

    Example:
        >>> margin_penalty(torch.tensor([[4.0, 1.0, 0.0]]), margin=2.0)
        tensor([1.])
    """
    return (logits.amax(1, keepdim=True) - logits - margin).relu().mean(1)
