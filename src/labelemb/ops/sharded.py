"""The losses over labels split by process, logits materialized: the sums of ``labelemb.ops.eager`` by parts.

All processes of the shard's group see the same N rows. A sum over labels is a sum over local labels and an all-reduce,
so every term is the same number on every process. N rows, C local labels (columns), V labels, D hidden size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ShapeError
from labelemb.ops.eager import attach_zero_grads, unused_parameters
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.terms.collectives import copy_to_processes, locate, max_over_processes, sum_over_processes
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, masked_sum, row_scale, total_weight, upcast
from labelemb.terms.shard import LabelShard, is_dtensor


@dataclass(frozen=True)
class Columns:
    """The labels of this process that a call computes: all of them, or those of the batch and a sample of the others.

    Attributes:
        shard: The labels of this process.
        chosen: int64, shape ``(C,)``, ascending: local numbers of the columns; None: all.
        weights: Shape ``(C,)``, the inverse of each column's probability to be chosen; None: all 1.
    """

    shard: LabelShard
    chosen: Tensor | None = None
    weights: Tensor | None = None

    @classmethod
    def of(cls, shard: LabelShard, labels: Tensor, sample: bool) -> "Columns":
        """Return all columns, or where the shard says so and ``sample`` is True those of the batch and a sample."""
        if not sample or shard.sampled == 1:
            return cls(shard)
        index, here = locate(labels, shard)
        others = torch.ones(shard.size, dtype=torch.bool, device=labels.device)
        others[index[here]] = False
        positive, negative = (~others).nonzero()[:, 0], others.nonzero()[:, 0]
        wanted = max(round(shard.sampled * shard.size) - len(positive), min(len(negative), 1))
        with shard.fork_rng():
            drawn = torch.randperm(len(negative))[:wanted].to(labels.device)
        chosen, order = torch.cat([positive, negative[drawn]]).sort()
        inverse = len(negative) / max(len(drawn), 1)
        weights = torch.where(order < len(positive), 1.0, inverse)
        return cls(shard, chosen, weights)

    def find(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return each label's column, 0 where it is on another process, and whether it is here."""
        index, here = locate(labels, self.shard)
        if self.chosen is not None:
            index = torch.where(here, torch.searchsorted(self.chosen, index), 0)
        return index, here

    def labels_of(self, columns: Tensor) -> Tensor:
        """Return the label of each of these columns."""
        return (columns if self.chosen is None else self.chosen[columns]) + self.shard.start

    def logits(self, layer: nn.Module, hidden: Tensor) -> Tensor:
        """Return a layer's logits of the columns, ``(N, C)``, fp32 or wider; the layer may hold ``DTensor``s.

        Raises:
            ShapeError: For a ``DTensor`` that is not split like the labels.
        """
        if self.chosen is None and not is_dtensor(layer.weight):
            return upcast(layer(hidden))
        weight, bias = (self._local(getattr(layer, name, None)) for name in ("weight", "bias"))
        assert weight is not None
        return upcast(F.linear(hidden, weight, bias))

    def _local(self, tensor: Any) -> Tensor | None:
        if tensor is None:
            return None
        local: Tensor = local_part(tensor, self.shard) if is_dtensor(tensor) else tensor
        return local if self.chosen is None else local[self.chosen]


def local_part(tensor: Any, shard: LabelShard) -> Tensor:
    """Return the local part of a ``DTensor`` that is split by label.

    Raises:
        ShapeError: Where it is split in another way.
    """
    local: Tensor = tensor.to_local()
    if not all(placement.is_shard(0) for placement in tensor.placements) or len(local) != shard.size:
        expected = f"a DTensor split by label, {shard.size} on this process"
        raise ShapeError("head.weight", expected, f"{list(tensor.placements)}, {len(local)} labels")
    return local


class LocalLogits:
    """Logits of the columns minus each row's largest logit over all labels, ``z - max z``, shape ``(N, C)``.

    Args:
        shifted: These differences.
        columns: Their labels.
        first: First label of this process that has the largest logit, shape ``(N,)``; V where none has it.
    """

    def __init__(self, shifted: Tensor, columns: Columns, first: Tensor) -> None:
        self.shifted, self.columns, self._first = shifted, columns, first
        self._exp: Tensor | None = None  # computed once, for the sum and as soft targets

    @classmethod
    def from_logits(cls, logits: list[Tensor], columns: Columns) -> "list[LocalLogits]":
        """Subtract the largest of all labels; one all-reduce for all the logits, each of shape ``(rows, C)``."""
        shard, found = columns.shard, [_max(z.detach()) for z in logits]
        tops = max_over_processes(torch.cat([value for value, _ in found]), shard)
        largest = torch.split(tops, [len(z) for z in logits])
        result = []
        for z, top, (value, index) in zip(logits, largest, found, strict=True):
            label = columns.labels_of(index) if z.shape[1] else index
            first = torch.where(value == top, label, shard.num_labels)  # of this process's columns
            result.append(cls(z - top[:, None], columns, first))
        return result

    def exp(self, temperature: float = 1.0) -> Tensor:
        """Return ``exp((z - max) / temperature)`` times the weights of the columns, ``(N, C)``."""
        if temperature == 1:
            if self._exp is None:
                self._exp = self.weigh(self.shifted.exp())
            return self._exp
        return self.weigh((self.shifted / temperature).exp())

    def weigh(self, values: Tensor) -> Tensor:
        """Multiply with the weights of the columns."""
        weights = self.columns.weights
        return values if weights is None else values * weights.to(values.dtype)

    def pick(self, labels: Tensor) -> Tensor:
        """Return ``z[y] - max`` where this process holds the label, else 0, ``(N,)``."""
        index, here = self.columns.find(labels)
        if not self.shifted.shape[1]:
            return self.shifted.sum(1)
        return torch.where(here, self.shifted.gather(1, index[:, None]).squeeze(1), 0.0)

    def ties_before(self, labels: Tensor) -> Tensor:
        """Return 1 where a label of this process before the row's has the largest logit, else 0, ``(N,)``."""
        return (self._first < labels).to(self.shifted.dtype)


class SumsOverLabels:
    """Sums over the labels of this process, collected and then all-reduced together."""

    def __init__(self, shard: LabelShard) -> None:
        self._shard, self._names, self._values = shard, list[str](), list[Tensor]()

    def add(self, name: str, values: Tensor) -> None:
        """Add the sums of this process's labels, one per row, under a name."""
        self._names.append(name)
        self._values.append(values)

    def reduce(self) -> dict[str, Tensor]:
        """Return the sums over all labels by name."""
        sums = sum_over_processes(torch.cat(self._values), self._shard)
        parts = torch.split(sums, [len(values) for values in self._values])
        return dict(zip(self._names, parts, strict=True))


def _max(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's largest logit and its first column; -inf where there are no columns."""
    if logits.shape[1]:
        value, index = logits.max(1)
        return value, index
    value = logits.new_full(logits.shape[:1], -torch.inf)
    return value, torch.zeros_like(value, dtype=torch.int64)


def _add_prediction(sums: SumsOverLabels, name: str, z: LocalLogits, labels: Tensor) -> None:
    """Add what the cross entropy and the prediction need: the sum of exp, ``z[y]``, and the labels tied before y."""
    sums.add(name, z.exp().sum(1))
    sums.add(f"{name}[y]", z.pick(labels))
    sums.add(f"{name} ties", z.ties_before(labels))


def _is_correct(sums: dict[str, Tensor], name: str) -> Tensor:
    """Return whether the first label with the largest logit is the row's: its ``z[y] - max`` is exactly 0."""
    return (sums[f"{name}[y]"] == 0) & (sums[f"{name} ties"] == 0)


def label_embedding_loss(inputs: ObjectiveInputs, shard: LabelShard, sample: bool = False) -> LossOutput:
    """Add up the terms in use (``Objective``); ``logits`` of the output are those of the local labels.

    Args:
        inputs: With an auxiliary head and a label embedding of this process's labels.
        shard: The labels of this process.
        sample: Whether to compute a sample of the labels only, where ``shard.sampled`` is below 1.
    """
    rows, aux_rows, objective = inputs.rows, inputs.auxiliary_rows, inputs.objective
    logits, over_labels = _sums_over_labels(inputs, Columns.of(shard, rows.labels, sample))
    learnable = _is_correct(over_labels, "z2") & aux_rows.mask
    sums = inputs.sums_over_rows(_row_values(objective, over_labels, learnable))
    weights = TermWeights.of(rows, objective, logits.dtype, inputs.group)
    terms = weights.weigh(sums, weights.embedding(total_weight(learnable, aux_rows.weights)))
    return LossOutput(
        loss=attach_zero_grads(torch.stack(list(terms.values())).sum(), *unused_parameters(inputs)),
        terms={name: value.detach() for name, value in terms.items()},
        correct=(_is_correct(over_labels, "z1") & rows.mask).sum(),
        count=rows.mask.sum(),
        logits=logits.detach(),
        weights=objective.weights,
    )


def _sums_over_labels(inputs: ObjectiveInputs, columns: Columns) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the head's logits of the columns, ``(N, C)``, and the sums over all labels that the terms need.

    Each logit is taken minus the largest of its row. By name, with one value per row:
        z1, z2, e: sum of exp(logit), of the head, the auxiliary head and the label embedding.
        z1[y], z2[y], "z1 ties", "z2 ties": see ``_add_prediction``.
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
    _add_prediction(local, "z1", z1, rows.labels)
    _add_prediction(local, "z2", z2, aux_rows.labels)
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


def _row_values(objective: Objective, sums: dict[str, Tensor], learnable: Tensor) -> dict[str, Tensor]:
    """Return the terms in use, before their weights, as one value per row.

    Args:
        objective: The terms and their options.
        sums: Those of ``_sums_over_labels``.
        learnable: bool, whether the auxiliary head predicts the label of a row that counts.
    """
    terms, t = objective.terms, objective.soft_temperature
    values: dict[str, Tensor] = {}
    if "hard" in terms:
        values["hard"] = sums["z1"].log() - sums["z1[y]"]
    if "soft" in terms:
        values["soft"] = sums["z1 / t"].log() - sums["target z1"] / (t * sums["target"].detach())
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


def soft_target_loss(
    inputs: ObjectiveInputs,
    shard: LabelShard,
    hard_weight: float,
    sample: bool = False,
) -> LossOutput:
    """Return ``hard_weight * H(onehot y, z) + (1 - hard_weight) * H(t, z)``, a mean over rows.

    Args:
        inputs: Its ``embedding`` gives the soft targets ``t = softmax(E[y])``; without one they are ``1 / V``.
        shard: The labels of this process.
        hard_weight: 1: one-hot cross entropy, without a soft term.
        sample: As for ``label_embedding_loss``.
    """
    rows, labels, soft_weight = inputs.rows, inputs.rows.labels, 1 - hard_weight
    columns = Columns.of(shard, labels, sample)
    logits = columns.logits(inputs.head, copy_to_processes(rows.hidden, shard))  # (N, C)
    embedding = inputs.embedding if soft_weight else None
    embedded = [] if embedding is None else [upcast(embedding.rows(labels, columns.chosen)).detach()]
    z, *target = LocalLogits.from_logits([logits, *embedded], columns)
    local = SumsOverLabels(shard)
    _add_prediction(local, "z", z, labels)
    if target:
        local.add("target", target[0].exp().sum(1))
        local.add("target z", (target[0].exp().detach() * z.shifted).sum(1))
    elif soft_weight:
        local.add("target z", z.weigh(z.shifted).sum(1) / shard.num_labels)
    s = local.reduce()

    per_row = row_scale(rows, logits.dtype, inputs.group)
    values = {"hard": hard_weight * (s["z"].log() - s["z[y]"])}
    if soft_weight:
        values["soft"] = soft_weight * (s["z"].log() - s["target z"] / (s["target"].detach() if target else 1.0))
    terms = {name: masked_sum(value, rows.mask, rows.weights) * per_row for name, value in values.items()}
    return LossOutput(
        loss=torch.stack(list(terms.values())).sum(),
        terms={name: value.detach() for name, value in terms.items()},
        correct=(_is_correct(s, "z") & rows.mask).sum(),
        count=rows.mask.sum(),
        logits=logits.detach(),
    )
