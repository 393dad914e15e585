"""The definition of the objective: the sum of its terms, logits materialised. Other implementations are held to it.

N rows, V labels, D hidden size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labelemb.functional import (
    confidence_cap,
    cross_entropy,
    distillation_targets,
    is_correct,
    soft_cross_entropy,
)
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, masked_sum, total_weight, upcast
from labelemb.terms.running_mean import RunningMeanLabelEmbedding

SoftTargetTransform = Callable[[Tensor, Tensor], Tensor]  # soft labels (N, V) and labels (N,) -> soft labels (N, V)


def label_embedding_loss(inputs: ObjectiveInputs, control: SoftTargetTransform | None = None) -> LossOutput:
    """Add up the terms in use (``Objective``); a term that is off is 0 in the output.

    Args:
        inputs: With an auxiliary head and a label embedding.
        control: Optional transform of the soft targets; training of the embedding is unchanged.
    """
    rows, objective = inputs.rows, inputs.objective
    labels, mask, row_weights, terms = rows.labels, rows.mask, rows.weights, objective.terms
    assert inputs.auxiliary is not None
    assert inputs.embedding is not None
    logits = inputs.head(rows.hidden)  # (N, V)
    z1 = upcast(logits)
    z2 = upcast(inputs.auxiliary(rows.hidden.detach()))  # (N, V)
    e = upcast(inputs.embedding.rows(labels))  # (N, V)
    log_p1, log_p2, log_q = (torch.log_softmax(z, dim=1) for z in (z1, z2, e))
    learnable = is_correct(z2, labels) & mask  # (N,)

    known, unknown = mask, None  # rows with a soft label; rows without one
    if isinstance(inputs.embedding, RunningMeanLabelEmbedding):
        known = mask & inputs.embedding.known[labels]
        unknown = mask & ~known if objective.mix == "convex" else None
        if inputs.embedding.training and torch.is_grad_enabled():
            inputs.embedding.observe(distillation_targets(z2, objective.tau), labels, learnable)

    sums: dict[str, Tensor] = {}
    if "hard" in terms:
        sums["hard"] = masked_sum(cross_entropy(log_p1, labels), mask, row_weights)
    if "soft" in terms:
        q = log_q.exp()
        targets = q if control is None else control(q, labels)
        t = objective.soft_temperature
        log_p = log_p1 if t == 1 else torch.log_softmax(z1 / t, dim=1)
        sums["soft"] = masked_sum(soft_cross_entropy(log_p, targets), known, row_weights)
    if "aux" in terms:
        sums["aux"] = masked_sum(cross_entropy(log_p2, labels), mask, row_weights)
    if "embedding" in terms:
        teacher = distillation_targets(z2, objective.tau)
        sums["embedding"] = masked_sum(soft_cross_entropy(log_q, teacher), learnable, row_weights)
    if "cap" in terms:
        sums["cap"] = masked_sum(confidence_cap(log_p2, labels, objective.alpha, objective.cap), mask, row_weights)

    weights = TermWeights.of(rows, objective, z1.dtype, inputs.group)
    alone = None if unknown is None else masked_sum(cross_entropy(log_p1, labels), unknown, row_weights)
    values = weights.weigh(sums, weights.embedding(total_weight(learnable, row_weights)), alone)
    total = torch.stack(list(values.values())).sum()
    return LossOutput(
        loss=attach_zero_grads(total, *unused_parameters(inputs)),
        terms={name: value.detach() for name, value in values.items()},
        correct=(is_correct(z1, labels) & mask).sum(),
        count=mask.sum(),
        logits=logits.detach(),
        weights=objective.weights,
    )


def unused_parameters(inputs: ObjectiveInputs) -> list[Tensor]:
    """Return the tensors that no term in use reaches; under data parallelism each must still get a gradient."""
    terms = inputs.objective.terms
    missing: list[Tensor] = []
    if not terms & {"hard", "soft"}:
        missing += [inputs.rows.hidden, *inputs.head.parameters()]
    if inputs.auxiliary is not None and not terms & {"aux", "cap"}:
        missing += inputs.auxiliary.parameters()
    if inputs.embedding is not None and "embedding" not in terms:
        missing += inputs.embedding.parameters()
    return [tensor for tensor in missing if tensor.requires_grad]


def attach_zero_grads(total: Tensor, *tensors: Tensor) -> Tensor:
    """Return ``total`` unchanged, with a gradient of zero for each of the tensors, whatever their values."""
    return _AttachZeroGrads.apply(total, *tensors) if tensors else total  # type: ignore[no-untyped-call]


class _AttachZeroGrads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return gradient, *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors)
