"""The definition of the objective: the sum of its terms, logits materialized. Other implementations are held to it.

N rows, V labels, D hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from labelemb.functional import (
    confidence_cap,
    cross_entropy,
    distillation_targets,
    is_correct,
    mixture,
    soft_cross_entropy,
)
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, upcast
from labelemb.terms.running_mean import RunningMeanLabelEmbedding

SoftTargetTransform = Callable[[Tensor, Tensor], Tensor]  # soft labels (N, V) and labels (N,) -> soft labels (N, V)


def label_embedding_loss(inputs: ObjectiveInputs, control: SoftTargetTransform | None = None) -> LossOutput:
    """Add up the terms in use (``Objective``); a term that is off is 0 in the output.

    Args:
        inputs: With an auxiliary head and a label embedding.
        control: Optional transform of the soft targets; training of the embedding is unchanged.
    """
    rows, aux_rows, objective, labels = inputs.rows, inputs.auxiliary_rows, inputs.objective, inputs.rows.labels
    assert inputs.auxiliary is not None
    logits = inputs.head(rows.hidden)  # (N, V)
    heads = Heads.of(upcast(logits), upcast(inputs.auxiliary(aux_rows.hidden.detach())), objective)
    dtype = heads.z1.dtype
    values = row_values(inputs, heads, labels, aux_rows.labels, control)
    if rows.mixed is None or aux_rows.mixed is None:
        _observe(inputs, heads, aux_rows.labels, values["learnable"])
    else:
        mixed, aux_mixed = (replace(m, weight=m.weight.to(dtype)) for m in (rows.mixed, aux_rows.mixed))
        seconds = row_values(inputs, heads, mixed.second, aux_mixed.second, control)
        row_weights = 1.0 if aux_rows.weights is None else aux_rows.weights
        _observe(inputs, heads, aux_mixed.first, values["learnable"] * aux_mixed.weight * row_weights)
        _observe(inputs, heads, aux_mixed.second, seconds["learnable"] * (1 - aux_mixed.weight) * row_weights)
        first_weight = {name: mixed.weight if inputs.rows_of(name) is rows else aux_mixed.weight for name in values}
        values = {name: mixture(value, seconds[name], first_weight[name]) for name, value in values.items()}
        labels = mixed.heavier

    weights, sums = TermWeights.of(rows, objective, dtype, inputs.group), inputs.sums_over_rows(values)
    terms = weights.weigh(sums, weights.embedding(sums["learnable"]), sums.get("hard_without_soft"))
    return LossOutput(
        loss=attach_zero_grads(torch.stack(list(terms.values())).sum(), *unused_parameters(inputs)),
        terms={name: value.detach() for name, value in terms.items()},
        correct=(is_correct(heads.z1, labels) & rows.mask).sum(),
        count=rows.mask.sum(),
        logits=logits.detach(),
        weights=objective.weights,
    )


@dataclass(frozen=True)
class Heads:
    """Outputs of both heads, which do not depend on the label; ``(N, V)``, or ``(k, V)`` for k sampled rows.

    Attributes:
        z1: Logits of the model.
        z2: Logits of the auxiliary head.
        log_p1: log softmax(z1).
        log_p1_soft: log softmax(z1 / soft_temperature).
        log_p2: log softmax(z2).
    """

    z1: Tensor
    z2: Tensor
    log_p1: Tensor
    log_p1_soft: Tensor
    log_p2: Tensor

    @classmethod
    def of(cls, z1: Tensor, z2: Tensor, objective: Objective) -> "Heads":
        """Compute the log-probabilities."""
        log_p1, log_p2 = torch.log_softmax(z1, dim=1), torch.log_softmax(z2, dim=1)
        t = objective.soft_temperature
        tempered = "soft" in objective.terms and t != 1
        return cls(z1, z2, log_p1, torch.log_softmax(z1 / t, dim=1) if tempered else log_p1, log_p2)


def row_values(
    inputs: ObjectiveInputs, heads: Heads, labels: Tensor, aux_labels: Tensor, control: SoftTargetTransform | None
) -> dict[str, Tensor]:
    """Return the terms in use, before their weights, as one value per row if the rows had these labels.

    Args:
        inputs: With a label embedding.
        heads: Predictions of both heads.
        labels: int64, shape ``(N,)``.
        aux_labels: Labels of the rows that the auxiliary head and the label embedding learn from, shape ``(k,)``.
        control: See ``label_embedding_loss``.

    Returns:
        Name -> shape ``(N,)`` or ``(k,)``; also "learnable", whether the auxiliary head predicts the label and the row
        counts, and, for labels that may have no soft label yet, "hard_without_soft", the hard term where there is none.
    """
    objective, terms, embedding = inputs.objective, inputs.objective.terms, inputs.embedding
    assert embedding is not None
    log_q = torch.log_softmax(upcast(embedding.rows(aux_labels)), dim=1)  # (k, V)
    learnable = is_correct(heads.z2, aux_labels) & inputs.auxiliary_rows.mask
    values = {"learnable": learnable}
    if "hard" in terms:
        values["hard"] = cross_entropy(heads.log_p1, labels)
    if "soft" in terms:
        q = log_q.exp() if inputs.sampled is None else torch.softmax(upcast(embedding.rows(labels).detach()), dim=1)
        values["soft"] = soft_cross_entropy(heads.log_p1_soft, q if control is None else control(q, labels))
    if "aux" in terms:
        values["aux"] = cross_entropy(heads.log_p2, aux_labels)
    if "embedding" in terms:
        teacher = distillation_targets(heads.z2, objective.tau)
        values["embedding"] = torch.where(learnable, soft_cross_entropy(log_q, teacher), 0.0)
    if "cap" in terms:
        values["cap"] = confidence_cap(heads.log_p2, aux_labels, objective.alpha, objective.cap)
    if isinstance(embedding, RunningMeanLabelEmbedding):
        known = embedding.known[labels]
        if "soft" in terms:
            values["soft"] = torch.where(known, values["soft"], 0.0)
        if objective.mix == "convex":
            values["hard_without_soft"] = torch.where(known, 0.0, cross_entropy(heads.log_p1, labels))
    return values


def _observe(inputs: ObjectiveInputs, heads: Heads, labels: Tensor, weights: Tensor) -> None:
    """Add the auxiliary head's predictions to the sums of a running mean, if the embedding is one in training."""
    embedding = inputs.embedding
    if isinstance(embedding, RunningMeanLabelEmbedding) and embedding.training and torch.is_grad_enabled():
        embedding.observe(distillation_targets(heads.z2, inputs.objective.tau), labels, weights)


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
