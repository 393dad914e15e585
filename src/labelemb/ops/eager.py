"""The definition: the objective as the sum of its terms, logits materialised. Other implementations match it.

N rows, V labels, D hidden size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from labelemb.functional import (
    TERMS,
    confidence_cap,
    cross_entropy,
    distillation_targets,
    is_correct,
    soft_cross_entropy,
)
from labelemb.losses.controls import Control
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import global_sum, masked_sum, row_scale, upcast, world_size
from labelemb.terms.rows import Rows


def label_embedding_loss(
    rows: Rows,
    head: nn.Linear,
    auxiliary: nn.Linear,
    embedding: LabelEmbedding,
    objective: Objective,
    num_items_in_batch: Tensor | float | None = None,
    control: Control | None = None,
) -> LossOutput:
    """Add up the terms named in ``objective.terms``.

    rows         hidden (N, D), labels (N,), mask (N,)
    head         D -> V, the model's own; auxiliary D -> V, reads the hidden state without a gradient to it
    num_items_in_batch  rows of the whole batch when this is a part of it (see ``LabelEmbeddingLoss.forward``)
    control      makes the target of term 2 of q; None: q itself is the target

    A term that is not named is 0 in the output. Term 4's row is m * H(softmax(z2 / tau), e) with m = [argmax z2 == y].
    """
    labels, mask, on = rows.labels, rows.mask, objective.terms
    z1 = upcast(head(rows.hidden))  # (N, V)
    z2 = upcast(auxiliary(rows.hidden.detach()))  # (N, V)
    e = upcast(embedding.rows(labels))  # (N, V)
    log_p1, log_p2, log_q = (torch.log_softmax(z, dim=1) for z in (z1, z2, e))
    learnable = is_correct(z2, labels) & mask  # m, (N,)

    means = objective.reduction == "mean"
    per_row = row_scale(mask.sum().to(z1.dtype), num_items_in_batch)
    per_learnable = world_size() / (global_sum(learnable.sum().to(z1.dtype)) + 1e-8) if means else per_row
    per_cap = world_size() if means else per_row

    values = dict.fromkeys(TERMS, z1.new_zeros(()))
    if "hard" in on:
        values["hard"] = objective.hard_weight * per_row * masked_sum(cross_entropy(log_p1, labels), mask)
    if "soft" in on:
        q = log_q.exp()
        taught = q if control is None else control(q, labels)
        values["soft"] = objective.soft_weight * per_row * masked_sum(soft_cross_entropy(log_p1, taught), mask)
    if "aux" in on:
        values["aux"] = per_row * masked_sum(cross_entropy(log_p2, labels), mask)
    if "embedding" in on:
        teacher = distillation_targets(z2, objective.tau)
        values["embedding"] = per_learnable * masked_sum(soft_cross_entropy(log_q, teacher), learnable)
    if "cap" in on:
        values["cap"] = per_cap * masked_sum(confidence_cap(log_p2, labels, objective.alpha, objective.cap), mask)

    total = torch.stack(list(values.values())).sum()
    return LossOutput(
        loss=attach_zero_grads(total, *unused_parameters(rows.hidden, head, auxiliary, embedding, on)),
        terms={name: value.detach() for name, value in values.items()},
        correct=(is_correct(z1, labels) & mask).sum(),
        count=mask.sum(),
    )


def unused_parameters(
    hidden: Tensor, head: nn.Linear, auxiliary: nn.Linear, embedding: LabelEmbedding, on: frozenset[str]
) -> list[Tensor]:
    """Return the tensors that no term in ``on`` reaches; under data parallelism each must still get a gradient."""
    missing: list[Tensor] = []
    if not on & {"hard", "soft"}:
        missing += [hidden, *head.parameters()]
    if not on & {"aux", "cap"}:
        missing += auxiliary.parameters()
    if "embedding" not in on:
        missing += embedding.parameters()
    return [tensor for tensor in missing if tensor.requires_grad]


def attach_zero_grads(total: Tensor, *tensors: Tensor) -> Tensor:
    """Return ``total`` unchanged, with a gradient of zero for each of ``tensors`` that is free of their values."""
    return _Reach.apply(total, *tensors) if tensors else total  # type: ignore[no-untyped-call]


class _Reach(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return gradient, *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors)
