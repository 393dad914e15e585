"""The objective over labels split by process: the sum of ``labelemb.ops.eager``, each process with its own columns.

All processes of the shard's group see the same N rows. A sum over labels is a sum over local labels and an all-reduce,
so every term is the same number on every process. U local labels, V labels, R rank.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError
from labelemb.ops.eager import attach_zero_grads, unused_parameters
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, masked_sum, total_weight, upcast
from labelemb.terms.shard import LabelShard


def _all_reduce(values: Tensor, shard: LabelShard, operation: Any = None) -> Tensor:
    values = values.detach().clone()
    if shard.group is not None:
        dist.all_reduce(values, dist.ReduceOp.SUM if operation is None else operation, group=shard.group)
    return values


class _Sum(torch.autograd.Function):
    """All-reduce forward, identity backward: what follows is the same on every process."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, shard: LabelShard) -> Tensor:
        return _all_reduce(values, shard)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Copy(torch.autograd.Function):
    """Identity forward, all-reduce backward: what follows differs by process."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, shard: LabelShard) -> Tensor:
        ctx.shard = shard
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _all_reduce(gradient.contiguous(), ctx.shard), None


def _sum(values: Tensor, shard: LabelShard) -> Tensor:
    result: Tensor = _Sum.apply(values, shard)  # type: ignore[no-untyped-call]
    return result


def _copy(values: Tensor, shard: LabelShard) -> Tensor:
    result: Tensor = _Copy.apply(values, shard)  # type: ignore[no-untyped-call]
    return result


def _local(labels: Tensor, shard: LabelShard) -> tuple[Tensor, Tensor]:
    """Return the labels as local indices, 0 where they are held elsewhere, and whether they are held here."""
    here = (labels >= shard.start) & (labels < shard.stop)
    return torch.where(here, labels - shard.start, 0), here


class _Logits:
    """Local logits ``(N, U)`` with what the softmax over all labels needs."""

    def __init__(self, local: Tensor, shard: LabelShard) -> None:
        self.local, self.shard = local, shard
        filled = F.pad(local.detach(), (0, 1), value=-torch.inf)  # an empty shard has a maximum too
        largest, self._argmax = filled.max(1)[0], filled.argmax(1)
        self.max = _all_reduce(largest, shard, dist.ReduceOp.MAX)
        self._largest = largest

    def log_sum_exp(self) -> Tensor:
        """Return the logarithm of the sum of exponentials over all labels, shape ``(N,)``."""
        return self.max + _sum((self.local - self.max[:, None]).exp().sum(1), self.shard).log()

    def pick(self, labels: Tensor) -> Tensor:
        """Return the logit of each row's label, shape ``(N,)``, wherever it is held."""
        index, here = _local(labels, self.shard)
        padded = F.pad(self.local, (0, 1))
        return _sum(torch.where(here, padded.gather(1, index[:, None]).squeeze(1), 0.0), self.shard)

    def cross_entropy(self, targets: Tensor) -> Tensor:
        """Return the cross entropy with local soft targets ``(N, U)`` that sum to 1 over all labels."""
        return self.log_sum_exp() - _sum((targets.detach() * self.local).sum(1), self.shard)

    def probabilities(self) -> Tensor:
        """Return the local part of the softmax, without gradient."""
        with torch.no_grad():
            return (self.local - self.log_sum_exp()[:, None]).exp()

    def is_correct(self, labels: Tensor) -> Tensor:
        """Return whether the first label with the largest logit is the row's label."""
        none = self.shard.num_labels
        first = torch.where(self._largest == self.max, self._argmax + self.shard.start, none)
        return _all_reduce(first, self.shard, dist.ReduceOp.MIN) == labels

    def over(self, tau: float) -> "_Logits":
        """Return the logits divided by a temperature."""
        return _Logits(self.local / tau, self.shard)


class ShardedLabelEmbedding(LabelEmbedding):
    """Columns ``start:stop`` of a label embedding; of a compressed one also rows ``start:stop`` of its codes.

    Args:
        whole: A dense or compressed embedding of all labels; copied.
        shard: The labels of this process.

    Raises:
        ConfigError: For another kind of embedding.
    """

    def __init__(self, whole: LabelEmbedding, shard: LabelShard) -> None:
        super().__init__()
        self.num_labels, self.shard = whole.num_labels, shard
        part = slice(shard.start, shard.stop)
        if isinstance(whole, DenseLabelEmbedding):
            self.weight = nn.Parameter(whole.weight.detach()[:, part].clone())
        elif isinstance(whole, CompressedLabelEmbedding):
            self.codes = nn.Parameter(whole.codes.weight.detach()[part].clone())
            self.decoder_weight = nn.Parameter(whole.decoder.weight.detach()[part].clone())
            self.decoder_bias = nn.Parameter(whole.decoder.bias.detach()[part].clone())
        else:
            raise ConfigError("embedding", "a dense or compressed one with shard", type(whole).__name__)

    def rows(self, labels: Tensor) -> Tensor:
        """Return this process's columns of E[labels]: int64 ``(K,)`` -> ``(K, U)``."""
        if hasattr(self, "weight"):
            return F.embedding(labels, self.weight)
        index, here = _local(labels, self.shard)
        padded = F.pad(self.codes, (0, 0, 0, 1))
        codes = _copy(_sum(torch.where(here[:, None], F.embedding(index, padded), 0.0), self.shard), self.shard)
        return F.linear(codes, self.decoder_weight, self.decoder_bias).relu()

    def load_whole(self, tensors: dict[str, Tensor]) -> None:
        """Copy this process's part of the ``state_dict`` of a whole embedding."""
        part = slice(self.shard.start, self.shard.stop)
        with torch.no_grad():
            if hasattr(self, "weight"):
                self.weight.copy_(tensors["weight"][:, part])
                return
            self.codes.copy_(tensors["codes.weight"][part])
            self.decoder_weight.copy_(tensors["decoder.weight"][part])
            self.decoder_bias.copy_(tensors["decoder.bias"][part])

    def soft_labels(self) -> Tensor:
        """Refuse: no process has whole rows."""
        raise ConfigError("embedding", "an unsharded one for soft_labels()", "a shard")

    def _select(self, labels: Tensor) -> LabelEmbedding:
        raise ConfigError("embedding", "an unsharded one for select()", "a shard")

    def _tensors(self) -> dict[str, Tensor]:
        raise ConfigError("embedding", "an unsharded one for save()", "a shard")

    @classmethod
    def _from_tensors(cls, tensors: dict[str, Tensor]) -> "ShardedLabelEmbedding":
        raise ConfigError("embedding", "an unsharded one to load from a file", "a shard")


def label_embedding_loss(inputs: ObjectiveInputs, shard: LabelShard) -> LossOutput:
    """Add up the terms in use (``Objective``); ``logits`` of the output are those of the local labels."""
    rows, objective = inputs.rows, inputs.objective
    labels, mask, row_weights, terms = rows.labels, rows.mask, rows.weights, objective.terms
    assert inputs.auxiliary is not None
    assert inputs.embedding is not None
    logits = inputs.head(_copy(rows.hidden, shard))  # (N, U)
    z1 = _Logits(upcast(logits), shard)
    z2 = _Logits(upcast(inputs.auxiliary(rows.hidden.detach())), shard)
    e = _Logits(upcast(inputs.embedding.rows(labels)), shard)
    learnable = z2.is_correct(labels) & mask  # (N,)

    sums: dict[str, Tensor] = {}
    if "hard" in terms:
        sums["hard"] = masked_sum(z1.log_sum_exp() - z1.pick(labels), mask, row_weights)
    if "soft" in terms:
        student = z1 if objective.soft_temperature == 1 else z1.over(objective.soft_temperature)
        sums["soft"] = masked_sum(student.cross_entropy(e.probabilities()), mask, row_weights)
    log_p2 = z2.pick(labels) - z2.log_sum_exp()  # (N,)
    if "aux" in terms:
        sums["aux"] = masked_sum(-log_p2, mask, row_weights)
    if "embedding" in terms:
        sums["embedding"] = masked_sum(e.cross_entropy(z2.over(objective.tau).probabilities()), learnable, row_weights)
    if "cap" in terms:
        excess = log_p2.exp() - objective.alpha
        sums["cap"] = masked_sum(excess.relu() if objective.cap == "hinge" else excess.abs(), mask, row_weights)

    weights = TermWeights.of(rows, objective, z1.local.dtype, inputs.group)
    values = weights.weigh(sums, weights.embedding(total_weight(learnable, row_weights)))
    return LossOutput(
        loss=attach_zero_grads(torch.stack(list(values.values())).sum(), *unused_parameters(inputs)),
        terms={name: value.detach() for name, value in values.items()},
        correct=(z1.is_correct(labels) & mask).sum(),
        count=mask.sum(),
        logits=logits.detach(),
        weights=objective.weights,
    )
