"""What every process of the tests of sharded losses does: compare its part with the unsharded loss, in float64."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from labelemb import (
    CompressedLabelEmbedding,
    DenseLabelEmbedding,
    FrozenLabelEmbeddingLoss,
    LabelEmbeddingLoss,
    LabelShard,
    LabelSmoothingLoss,
    LinearCrossEntropyLoss,
    Objective,
)
from labelemb.functional import TERMS
from labelemb.losses.label_shards import ShardedLoss

PUBLISHED = [Objective.vision(), replace(Objective.seq2seq(), soft_start=0)]
OBJECTIVES = [
    *PUBLISHED,
    *(Objective().without(term) for term in TERMS),
    *(Objective(terms=frozenset({term})) for term in ("soft", "cap")),
    Objective(soft_temperature=2.0, soft_scale=4.0),
    Objective(alpha=0.05, cap="absolute"),
]
Make = Callable[[LabelShard | None], ShardedLoss]


@dataclass
class Batch:
    """Rows with ignored ones, with ties of all logits over all processes, and with labels of every process."""

    hidden: Tensor
    targets: Tensor
    head: nn.Linear

    @classmethod
    def make(cls, n: int, d: int, labels: int, auxiliary: nn.Linear | None) -> "Batch":
        hidden, head, targets = torch.randn(n, d).double(), nn.Linear(d, labels).double(), torch.randint(labels, (n,))
        with torch.no_grad():
            head.bias.zero_()
            hidden[4:8] = 0  # with equal biases all logits tie: label 0 is predicted
            if auxiliary is not None:
                auxiliary.bias.zero_()
                targets[8 : n // 2] = auxiliary(hidden[8 : n // 2]).argmax(1)  # predicted right
        targets[:6] = torch.tensor([0, labels - 1, -100, 0, 0, 0])
        hidden[2] = torch.nan
        return cls(hidden, targets, head)


def make_embedding(kind: str, labels: int) -> DenseLabelEmbedding | CompressedLabelEmbedding:
    return DenseLabelEmbedding(labels) if kind == "dense" else CompressedLabelEmbedding(labels, 4)


def losses(kind: str, labels: int, objectives: list[Objective], d: int) -> list[Make]:
    """Return functions that make the same loss for a shard, or for all labels."""
    embedding = make_embedding(kind, labels).double()
    found: list[Make] = [
        lambda shard, objective=objective: LabelEmbeddingLoss(
            d, labels, copy.deepcopy(embedding), objective, shard=shard, impl="eager"
        )
        for objective in objectives
    ]
    found.append(lambda shard: FrozenLabelEmbeddingLoss(embedding, 0.3, shard=shard))
    if kind == "dense":
        found += [lambda shard: LinearCrossEntropyLoss(shard=shard), lambda shard: LabelSmoothingLoss(0.2, shard=shard)]
    return found


def check(name: str, actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9, msg=lambda text: f"{name}: {text}")


def local_head(head: nn.Linear, shard: LabelShard) -> nn.Linear:
    local = nn.Linear(head.in_features, 1).double()
    local.weight.data, local.bias.data = (
        shard.part(head.weight.detach()).clone(),
        shard.part(head.bias.detach()).clone(),
    )
    return local


def compare(make: Make, shard: LabelShard, n: int, d: int) -> None:
    """Compare loss, terms, counts and every gradient with those of the unsharded loss."""
    torch.manual_seed(3)
    full, local = make(None).double(), make(shard).double()
    full.process_group = alone()
    for loss in (full, local):
        loss.validate_args = False
        loss.set_class_weights(torch.linspace(0.5, 2, shard.num_labels) if n > 24 else None)
    if isinstance(full, LabelEmbeddingLoss):
        local.load_full_state_dict(full.state_dict())
        batch = Batch.make(n, d, shard.num_labels, full.auxiliary)
        local.load_full_state_dict(full.state_dict())
    else:
        batch = Batch.make(n, d, shard.num_labels, None)
    head = local_head(batch.head, shard)
    mine, whole = batch.hidden.clone().requires_grad_(), batch.hidden.clone().requires_grad_()
    got, want = local(mine, head, batch.targets), full(whole, batch.head, batch.targets)
    got.loss.backward()
    want.loss.backward()
    name = f"{full} {shard}"
    assert (int(got.correct), int(got.count)) == (int(want.correct), int(want.count)), name
    assert got.weights == want.weights, name
    check(name, got.loss, want.loss)
    assert got.terms.keys() == want.terms.keys(), name
    for term, value in want.terms.items():
        check(f"{name} {term}", got.terms[term], value)
    check(f"{name} hidden", gradient(mine), gradient(whole))
    check(f"{name} head", gradient(head.weight), shard.part(gradient(batch.head.weight)))
    check(f"{name} head bias", gradient(head.bias), shard.part(gradient(batch.head.bias)))
    dims = local.shard_dims()
    for (key, p), (_, q) in zip(local.named_parameters(), full.named_parameters(), strict=True):
        check(f"{name} {key}", gradient(p), shard.part(gradient(q), dims[key]))


def gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


_alone: list[Any] = []


def alone() -> Any:
    if not _alone:
        _alone.append(dist.new_group([dist.get_rank()], use_local_synchronization=True))
    return _alone[0]


def exactness() -> None:
    for kind in ("dense", "compressed"):
        for make in losses(kind, 5, OBJECTIVES, 6):  # 2, 2, 1 and 0 labels on 4 processes
            compare(make, LabelShard.of(5), 24, 6)
        for make in losses(kind, 507, PUBLISHED, 123):
            compare(make, LabelShard.of(507), 252, 123)
    for make in losses("compressed", 32_003, PUBLISHED[:1], 8):
        compare(make, LabelShard.of(32_003), 16, 8)
