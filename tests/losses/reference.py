"""The objective once more, written independently: float64, row by row, gradients in closed form, no autograd."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelemb import DenseLabelEmbedding, LabelEmbeddingLoss, Objective

Array = NDArray[np.float64]


@dataclass
class Expected:
    terms: dict[str, float]
    hidden: Array
    head_weight: Array
    head_bias: Array
    auxiliary_weight: Array
    auxiliary_bias: Array
    embedding: Array

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


def softmax(z: Array) -> Array:
    shifted = np.exp(z - z.max())
    result: Array = shifted / shifted.sum()
    return result


def expected(
    hidden: Array,
    labels: list[int],
    head: tuple[Array, Array],
    auxiliary: tuple[Array, Array],
    embedding: Array,
    o: Objective,
    num_items_in_batch: float | None = None,
) -> Expected:
    """Value and gradients for rows that all count; the gradient of ``embedding`` is that of the dense (V, V) matrix."""
    rows = len(labels)
    n = num_items_in_batch if num_items_in_batch is not None else max(rows, 1)
    z2s = [auxiliary[0] @ h + auxiliary[1] for h in hidden]
    learned = [int(np.argmax(z2)) == y for z2, y in zip(z2s, labels, strict=True)]
    w_embedding = 1 / (sum(learned) + 1e-8) if o.reduction == "mean" else 1 / n
    w_cap = 1.0 if o.reduction == "mean" else 1 / n
    hard, soft = (o.beta, 1 - o.beta) if o.mix == "convex" else (1.0, 1.0)
    weight = {"hard": hard / n, "soft": soft * o.soft_scale / n, "aux": 1 / n, "embedding": w_embedding, "cap": w_cap}
    weight = {name: value * (name in o.terms) for name, value in weight.items()}

    terms = dict.fromkeys(weight, 0.0)
    zeros = [np.zeros_like(a) for a in (hidden, *head, *auxiliary, embedding)]
    out = Expected(terms, *zeros)
    for i, (h, y) in enumerate(zip(hidden, labels, strict=True)):
        onehot = np.eye(len(embedding))[y]
        p1, p2, q = softmax(head[0] @ h + head[1]), softmax(z2s[i]), softmax(embedding[y])
        p1_soft = softmax((head[0] @ h + head[1]) / o.soft_temperature)
        teacher = softmax(z2s[i] / o.tau)
        terms["hard"] += weight["hard"] * -math.log(p1[y])
        terms["soft"] += weight["soft"] * -(q * np.log(p1_soft)).sum()
        terms["aux"] += weight["aux"] * -math.log(p2[y])
        terms["embedding"] += weight["embedding"] * learned[i] * -(teacher * np.log(q)).sum()
        excess = p2[y] - o.alpha
        terms["cap"] += weight["cap"] * (max(excess, 0) if o.cap == "hinge" else abs(excess))
        dz1 = weight["hard"] * (p1 - onehot) + weight["soft"] / o.soft_temperature * (p1_soft - q)
        c = float(excess > 0) if o.cap == "hinge" else float(np.sign(excess))
        dz2 = weight["aux"] * (p2 - onehot) + weight["cap"] * c * p2[y] * (onehot - p2)
        out.hidden[i] += head[0].T @ dz1
        out.head_weight += np.outer(dz1, h)
        out.head_bias += dz1
        out.auxiliary_weight += np.outer(dz2, h)
        out.auxiliary_bias += dz2
        out.embedding[y] += weight["embedding"] * learned[i] * (q - teacher)
    return out


@dataclass
class Case:
    """A loss, a head and inputs in float64, and the reference's word on them."""

    loss: LabelEmbeddingLoss
    head: nn.Linear
    hidden: torch.Tensor
    targets: torch.Tensor

    def expected(self, num_items_in_batch: float | None = None) -> Expected:
        def numbers(layer: nn.Linear) -> tuple[Array, Array]:
            return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()

        return expected(
            self.hidden.detach().double().numpy(),
            self.targets.tolist(),
            numbers(self.head),
            numbers(self.loss.auxiliary),
            self.loss.embedding.matrix().detach().double().numpy(),
            self.loss.objective,
            num_items_in_batch,
        )

    def gradients(self) -> dict[str, torch.Tensor]:
        parameters = {
            "hidden": self.hidden,
            "head_weight": self.head.weight,
            "head_bias": self.head.bias,
            "auxiliary_weight": self.loss.auxiliary.weight,
            "auxiliary_bias": self.loss.auxiliary.bias,
            "embedding": self.loss.embedding.weight,
        }
        return {name: tensor.grad for name, tensor in parameters.items() if tensor.grad is not None}


def make_case(objective: Objective, rows: int = 12, labels: int = 5, size: int = 4, seed: int = 0) -> Case:
    torch.manual_seed(seed)
    loss = LabelEmbeddingLoss(size, labels, DenseLabelEmbedding(labels), objective).double()
    with torch.no_grad():
        loss.embedding.weight.add_(0.3 * torch.randn(labels, labels))
        loss.auxiliary.weight.mul_(6)  # some rows right, some over the cap, some not
    head = nn.Linear(size, labels).double()
    hidden = torch.randn(rows, size, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        targets = torch.where(torch.rand(rows) < 0.6, loss.auxiliary(hidden).argmax(1), torch.randint(labels, (rows,)))
    return Case(loss, head, hidden, targets)
