"""Sums over rows that the losses are made of, before their factors: they add up over chunks of rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from labelemb.ops.inputs import AUXILIARY_TERMS, ObjectiveInputs
from labelemb.ops.sharded.columns import Columns
from labelemb.ops.sharded.local_logits import LocalLogits, SumsOverLabels, is_correct
from labelemb.terms.collectives import copy_to_processes
from labelemb.terms.objective import Objective
from labelemb.terms.reduction import upcast


@dataclass(frozen=True)
class RowSums:
    """Sums over rows, the same on every process of the labels.

    Attributes:
        terms: Term in use -> sum over the rows that count, before any factor, scalar.
        correct: int scalar, rows whose label the head predicts.
        learnable: bool, shape ``(N,)``, or ``(k,)`` for k sampled rows: whether the row counts and the auxiliary head
            predicts its label; False without that head.
        logits: The head's logits of the columns, ``(N, C)``; None: not kept.
    """

    terms: dict[str, Tensor]
    correct: Tensor
    learnable: Tensor
    logits: Tensor | None = None

    @classmethod
    def of(cls, inputs: ObjectiveInputs, columns: Columns) -> Self:
        """Compute the terms of a batch, or of a chunk of its rows; without an auxiliary head hard and soft alone."""
        if inputs.auxiliary is None:
            logits, over_labels = _soft_target_sums(inputs, columns)
            learnable = torch.zeros_like(inputs.auxiliary_rows.mask)
        else:
            logits, over_labels = _objective_sums(inputs, columns)
            learnable = is_correct(over_labels, "z2") & inputs.auxiliary_rows.mask
        return cls(
            terms=inputs.sums_over_rows(_row_values(inputs.objective, over_labels, learnable)),
            correct=(is_correct(over_labels, "z1") & inputs.rows.mask).sum(),
            learnable=learnable,
            logits=logits.detach(),
        )

    def without_graph(self) -> Self:
        """Return the same numbers, without logits, for sums over several chunks."""
        terms = {name: value.detach() for name, value in self.terms.items()}
        return replace(self, terms=terms, logits=None)

    @staticmethod
    def total(parts: "Sequence[RowSums]") -> "RowSums":
        """Return the sums over all chunks."""
        terms = {name: torch.stack([part.terms[name] for part in parts]).sum() for name in parts[0].terms}
        correct = torch.stack([part.correct for part in parts]).sum()
        return RowSums(terms, correct, torch.cat([part.learnable for part in parts]))


def _objective_sums(inputs: ObjectiveInputs, columns: Columns) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the head's logits of the columns, ``(N, C)``, and the sums over all labels that the terms need.

    Each logit is taken minus the largest of its row. By name, with one value per row:
        z1, z2, e: sum of exp(logit), of the head, the auxiliary head and the label embedding.
        z1[y], z2[y], "z1 ties", "z2 ties": see ``SumsOverLabels.add_prediction``.
        z1 / t, z2 / tau: sum of exp(logit / temperature), for the soft term and the embedding term.
        target: sum of exp(e) of all rows where the embedding learns from a sample of them, else the same as e.
        target z1: sum of exp(e) * z1.
        teacher e: sum of exp(z2 / tau) * e.
    """
    rows, aux_rows, objective, embedding = inputs.rows, inputs.auxiliary_rows, inputs.objective, inputs.embedding
    terms, t = objective.terms, objective.soft_temperature
    assert inputs.auxiliary is not None
    assert embedding is not None
    logits = columns.logits(inputs.head, copy_to_processes(rows.hidden, columns.shard))  # (N, C)
    aux_logits = columns.logits(inputs.auxiliary, aux_rows.hidden.detach())  # (k, C) of k sampled rows, or (N, C)
    embedded = [upcast(embedding.rows(aux_rows.labels, columns.chosen))]
    if inputs.sampled is not None and "soft" in terms:
        embedded.append(upcast(embedding.rows(rows.labels, columns.chosen)).detach())
    z1, z2, e, *of_all_rows = LocalLogits.from_logits([logits, aux_logits, *embedded], columns)

    local = SumsOverLabels(columns.shard)
    local.add_prediction("z1", z1, rows.labels)
    local.add_prediction("z2", z2, aux_rows.labels)
    local.add("e", e.exp().sum(1))
    if "soft" in terms:
        target = of_all_rows[0] if of_all_rows else e
        if t != 1:
            local.add("z1 / t", z1.exp(t).sum(1))
        if of_all_rows:
            local.add("target", target.exp().sum(1))
        local.add("target z1", (target.exp().detach() * z1.shifted).sum(1))
    if "embedding" in terms:
        teacher = z2.exp(objective.tau).detach()
        local.add("z2 / tau", teacher.sum(1))
        local.add("teacher e", (teacher * e.shifted).sum(1))
    sums = local.reduce()
    return logits, {"z1 / t": sums["z1"], "target": sums["e"]} | sums


def _soft_target_sums(inputs: ObjectiveInputs, columns: Columns) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the same for cross entropy alone, with the soft targets of a label embedding or, without one, 1 / V."""
    labels, shard = inputs.rows.labels, columns.shard
    has_soft = "soft" in inputs.objective.terms
    embedding = inputs.embedding if has_soft else None
    logits = columns.logits(inputs.head, copy_to_processes(inputs.rows.hidden, shard))  # (N, C)
    embedded = [] if embedding is None else [upcast(embedding.rows(labels, columns.chosen)).detach()]
    z1, *target = LocalLogits.from_logits([logits, *embedded], columns)
    local = SumsOverLabels(shard)
    local.add_prediction("z1", z1, labels)
    if target:
        local.add("target", target[0].exp().sum(1))
        local.add("target z1", (target[0].exp().detach() * z1.shifted).sum(1))
    elif has_soft:
        local.add("target z1", z1.weigh(z1.shifted).sum(1) / shard.num_labels)
    sums = local.reduce()
    return logits, {"z1 / t": sums["z1"], "target": torch.ones_like(sums["z1"])} | sums


def _row_values(objective: Objective, sums: dict[str, Tensor], learnable: Tensor) -> dict[str, Tensor]:
    """Return the terms in use, before their weights, as one value per row.

    Args:
        objective: The terms and their options.
        sums: Sums over all labels, see ``_objective_sums``.
        learnable: bool, whether the auxiliary head predicts the label of a row that counts.
    """
    terms, t = objective.terms, objective.soft_temperature
    values: dict[str, Tensor] = {}
    if "hard" in terms:
        values["hard"] = sums["z1"].log() - sums["z1[y]"]
    if "soft" in terms:
        values["soft"] = sums["z1 / t"].log() - sums["target z1"] / (t * sums["target"].detach())
    if terms.isdisjoint(AUXILIARY_TERMS):
        return values
    log_p2 = sums["z2[y]"] - sums["z2"].log()
    if "aux" in terms:
        values["aux"] = -log_p2
    if "embedding" in terms:
        distilled = sums["e"].log() - sums["teacher e"] / sums["z2 / tau"].detach()
        values["embedding"] = torch.where(learnable, distilled, 0.0)
    if "cap" in terms:
        excess = log_p2.exp() - objective.alpha
        values["cap"] = excess.relu() if objective.cap == "hinge" else excess.abs()
    return values
