"""What every process of the tests of sharded losses does: compare its part with the unsharded loss, in float64."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

from labelemb import (
    CompressedLabelEmbedding,
    DenseLabelEmbedding,
    FrozenLabelEmbeddingLoss,
    LabelEmbeddingLoss,
    LabelShard,
    LabelSmoothingLoss,
    LinearCrossEntropyLoss,
    LossModel,
    Objective,
)
from labelemb.errors import ConfigError
from labelemb.functional import TERMS
from labelemb.losses.label_shards import ShardedLoss
from labelemb.ops.sharded.driver import MATRICES

PUBLISHED = [Objective.vision(), replace(Objective.seq2seq(), soft_start=0)]
OBJECTIVES = [
    *PUBLISHED,
    *(Objective().without(term) for term in TERMS),
    *(Objective(terms=frozenset({term})) for term in ("soft", "cap")),
    Objective(soft_temperature=2.0, soft_scale=4.0),
    Objective(alpha=0.05, cap="absolute"),
]
CHUNK_ROWS, ROW_BYTES = 10, 8 * MATRICES // 2  # rows of a chunk with two processes, more with others
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
    """Return functions that make the same loss for a shard, all rows at once and in chunks, or for all labels."""
    embedding = make_embedding(kind, labels).double()
    chunk_bytes = labels * ROW_BYTES * CHUNK_ROWS

    def make(shard: LabelShard | None, **options: Any) -> LabelEmbeddingLoss:
        if shard is None:
            options |= {"impl": "eager", "chunk_bytes": None}
        return LabelEmbeddingLoss(d, labels, copy.deepcopy(embedding), shard=shard, **options)

    found: list[Make] = []
    for impl in ({"impl": "eager"}, {"impl": "chunked", "chunk_bytes": chunk_bytes}):
        found += [partial(make, objective=objective, **impl) for objective in objectives]
        sampled = [*PUBLISHED, Objective().without("soft")]
        found += [partial(make, objective=objective, embedding_rows=0.4, **impl) for objective in sampled]
        if kind == "dense":
            found.append(lambda shard, impl=impl: LinearCrossEntropyLoss(shard=shard, **(impl if shard else {})))
    found.append(lambda shard: FrozenLabelEmbeddingLoss(embedding, 0.3, shard=shard))
    if kind == "dense":
        found.append(lambda shard: LabelSmoothingLoss(0.2, shard=shard))
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


def all_cases(folder: str) -> None:
    exactness()
    # Nearly all labels are sampled, which are all of so few: the path of the sample, the result of the whole.
    for make in [*losses("dense", 11, PUBLISHED, 6), *losses("compressed", 11, PUBLISHED, 6)]:
        compare(make, LabelShard.of(11, sampled=0.99), 24, 6)
    world = dist.get_world_size()
    dtensor_head(init_device_mesh("cpu", (world,)))
    chunks()
    if world == 4:
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "label"))
        data_and_labels(mesh)
        fully_sharded_over_data(mesh)
        other_number_of_processes(mesh["label"], folder)


def dtensor_head(mesh: DeviceMesh) -> None:
    """A head of torch's tensor parallelism gets the gradient of a local one."""
    for impl in ("eager", "chunked"):
        _dtensor_head(LabelShard.of(5, mesh), mesh, impl)


def _dtensor_head(shard: LabelShard, mesh: DeviceMesh, impl: str) -> None:
    torch.manual_seed(1)
    loss = LabelEmbeddingLoss(6, 5, CompressedLabelEmbedding(5, 4), shard=shard, impl=impl, chunk_bytes=3000).double()
    batch = Batch.make(24, 6, 5, None)
    local = local_head(batch.head, shard)
    tensor_parallel = parallelize_module(batch.head, mesh, ColwiseParallel())
    hiddens = [batch.hidden[8:].clone().requires_grad_() for _ in range(2)]
    for head, hidden in zip((local, tensor_parallel), hiddens, strict=True):
        loss(hidden, head, batch.targets[8:]).loss.backward()
    check("hidden", hiddens[1].grad, hiddens[0].grad)
    check("DTensor head", tensor_parallel.weight.grad.to_local(), local.weight.grad)
    check("DTensor bias", tensor_parallel.bias.grad.to_local(), local.bias.grad)


def chunks() -> None:
    """Values without gradients, layers that need none, autocast, and no second backward pass."""
    torch.manual_seed(4)
    shard = LabelShard.of(11)
    eager = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), shard=shard, impl="eager")
    chunked = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), shard=shard, impl="chunked", chunk_bytes=3000)
    chunked.load_state_dict(eager.state_dict())
    head = local_head(nn.Linear(6, 11), shard).float()
    hidden, targets = torch.randn(24, 6), torch.randint(11, (24,))
    targets[3] = -100
    with torch.no_grad():
        assert not chunked(hidden, head, targets).loss.requires_grad

    def compare_implementations(trains: list[bool], autocast: bool = False) -> None:
        tensors = [hidden, head.weight, head.bias]
        for tensor, train in zip(tensors, trains, strict=True):
            tensor.requires_grad_(train)
        found = []
        for loss in (eager, chunked):
            every = [*tensors, *loss.parameters()]
            for tensor in every:
                tensor.grad = None
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                out = loss(hidden, head, targets)
            out.loss.backward()
            found.append([out.loss, *map(gradient, every)])
        assert out.logits is None
        rtol, atol = (0.02, 2e-4) if autocast else (1e-5, 1e-6)
        for got, want in zip(*found[::-1], strict=True):
            torch.testing.assert_close(got, want, rtol=rtol, atol=atol)
        with pytest.raises(ConfigError, match="second"):
            out.loss.backward()

    compare_implementations([True, True, True], autocast=True)
    compare_implementations([False, True, True])
    compare_implementations([True, False, True])


def data_and_labels(mesh: DeviceMesh) -> None:
    """Two halves of the batch on two halves of the labels each: averaged over the halves, the whole batch."""
    for objective in PUBLISHED:
        for impl in ("eager", "chunked"):
            _data_and_labels(mesh, objective, impl)


def _data_and_labels(mesh: DeviceMesh, objective: Objective, impl: str) -> None:
    torch.manual_seed(2)
    shard, data = LabelShard.of(11, mesh["label"]), mesh["data"].get_group()
    full = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), objective, process_group=alone()).double()
    local = LabelEmbeddingLoss(
        6,
        11,
        CompressedLabelEmbedding(11, 4, shard=shard),
        objective,
        shard=shard,
        process_group=data,
        impl=impl,
        chunk_bytes=5000,
    ).double()
    batch = Batch.make(24, 6, 11, full.auxiliary)
    local.load_full_state_dict(full.state_dict())
    head = local_head(batch.head, shard)
    rows = slice(0, 15) if dist.get_rank(data) == 0 else slice(15, None)
    want = full(batch.hidden, batch.head, batch.targets)
    got = local(batch.hidden[rows], head, batch.targets[rows])
    want.loss.backward()
    got.loss.backward()
    values = [got.loss.detach(), head.weight.grad, *(p.grad for p in local.parameters())]
    for value in values:
        dist.all_reduce(value, group=data)
    check("loss of data x labels", values[0] / 2, want.loss)
    check("head of data x labels", head.weight.grad / 2, shard.part(batch.head.weight.grad))
    for (key, mine), whole in zip(local.named_parameters(), full.parameters(), strict=True):
        check(f"{key} of data x labels", mine.grad / 2, shard.part(whole.grad, local.shard_dims()[key]))


def fully_sharded_over_data(mesh: DeviceMesh) -> None:
    """Labels over one dimension of the mesh, rows and ``fully_shard`` over the other: as one process."""
    for impl in ("eager", "chunked"):
        _fully_sharded_over_data(mesh, impl)


def _fully_sharded_over_data(mesh: DeviceMesh, impl: str) -> None:
    torch.manual_seed(5)
    shard, data = LabelShard.of(11, mesh["label"]), mesh["data"].get_group()
    full = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), process_group=alone()).double()
    local = LabelEmbeddingLoss(
        6, 11, full.embedding, shard=shard, process_group=data, impl=impl, chunk_bytes=5000
    ).double()
    batch = Batch.make(24, 6, 11, full.auxiliary)
    batch.hidden[2] = 0  # NaN would reach the layer below through its weight
    local.load_full_state_dict(full.state_dict())
    body = nn.Linear(6, 6).double()
    full(body(batch.hidden), batch.head, batch.targets).loss.backward()
    net = nn.Sequential(copy.deepcopy(body), local_head(batch.head, shard))
    net.zero_grad()
    model = fully_shard(LossModel(net, local), mesh=mesh["data"])
    rows = slice(0, 15) if dist.get_rank(data) == 0 else slice(15, None)
    model(batch.hidden[rows], labels=batch.targets[rows])["loss"].backward()
    check("body under FSDP", net[0].weight.grad.full_tensor(), body.weight.grad)
    check("head under FSDP", net[1].weight.grad.full_tensor(), shard.part(batch.head.weight.grad))
    for (key, mine), whole in zip(local.named_parameters(), full.parameters(), strict=True):
        check(f"{key} under FSDP", mine.grad.full_tensor(), shard.part(whole.grad, local.shard_dims()[key]))
    with torch.no_grad():
        value = model.eval()(batch.hidden[rows], labels=batch.targets[rows])["loss"]
        dist.all_reduce(value, group=data)
        logits = batch.head(body(batch.hidden))
        check("evaluation under FSDP", value / 2, nn.functional.cross_entropy(logits, batch.targets))


def other_number_of_processes(pair: DeviceMesh, folder: str) -> None:
    """A loss saved by four processes is loaded by two, as the whole and by parts."""
    for kind in ("dense", "compressed"):
        four, two = (
            LabelEmbeddingLoss(6, 5, make_embedding(kind, 5), shard=LabelShard.of(5, group)) for group in (None, pair)
        )
        four.steps = 7
        full = four.full_state_dict()
        dcp.save({"loss": four.sharded_state_dict()}, checkpoint_id=f"{folder}/{kind}")
        state = {"loss": two.sharded_state_dict()}
        dcp.load(state, checkpoint_id=f"{folder}/{kind}", process_group=pair.get_group())
        two.load_sharded_state_dict(state["loss"])
        again = LabelEmbeddingLoss(6, 5, make_embedding(kind, 5), shard=LabelShard.of(5, pair))
        again.load_full_state_dict(full)
        assert two.steps == again.steps == 7
        for loss in (two, again):
            found = loss.full_state_dict()
            assert all(torch.equal(found[name], value) for name, value in full.items()), kind
        whole = LabelEmbeddingLoss(6, 5, make_embedding(kind, 5))
        whole.load_state_dict(full)
        gathered = two.embedding.gather()
        assert torch.equal(gathered.matrix(), whole.embedding.matrix())


def exactness() -> None:
    for kind in ("dense", "compressed"):
        for make in losses(kind, 5, OBJECTIVES, 6):  # 2, 2, 1 and 0 labels on 4 processes
            compare(make, LabelShard.of(5), 24, 6)
        for make in losses(kind, 507, PUBLISHED, 123):
            compare(make, LabelShard.of(507), 252, 123)
    for make in losses("compressed", 32_003, PUBLISHED[:1], 8):
        compare(make, LabelShard.of(32_003), 16, 8)
