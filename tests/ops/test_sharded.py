"""Labels split over 2 and 3 gloo processes give the value and the gradients of one process that holds them all."""

import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from labelemb import LabelEmbeddingLoss, Objective
from labelemb.errors import ConfigError
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding
from labelemb.terms.shard import LabelShard

D, N = 6, 40
OBJECTIVES = [
    Objective.vision(),
    Objective(mix="sum", cap="absolute", reduction="token"),
    Objective(soft_temperature=2.0, soft_scale=4.0),
    Objective(alpha=0.05),
    Objective(terms=frozenset({"hard", "cap"})),
]


def compare(shard: LabelShard, kind: str, objective: Objective) -> None:
    """Compare loss, terms, counts and every gradient with those of the unsharded loss, for this process's labels."""
    torch.manual_seed(3)
    labels, part = shard.num_labels, slice(shard.start, shard.stop)
    embedding = DenseLabelEmbedding(labels) if kind == "dense" else CompressedLabelEmbedding(labels, 4)
    full = LabelEmbeddingLoss(D, labels, embedding, objective, impl="eager").double()
    full.process_group = dist.new_group([dist.get_rank()], use_local_synchronization=True)
    head = nn.Linear(D, labels).double()
    targets = torch.randint(labels, (N,))
    targets[:4] = torch.tensor([0, labels - 1, -100, 0])
    hidden = torch.randn(N, D).double()
    with torch.no_grad():
        hidden[4:8] = 0  # with equal biases all logits tie, over shards too: label 0 is predicted
        head.bias.zero_()
        full.auxiliary.bias.zero_()
    targets[4:6] = 0
    hidden[2] = torch.nan
    for row in range(8, 20):  # rows that the auxiliary head predicts right
        targets[row] = full.auxiliary(hidden[row]).argmax()
    full.validate_args = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an empty shard initialises empty tensors
        local = LabelEmbeddingLoss(D, labels, embedding, objective, shard=shard, validate_args=False).double()
        local_head = nn.Linear(D, shard.size).double()
    local.load_full_state_dict(full.state_dict())
    with torch.no_grad():
        local_head.weight.copy_(head.weight[part])
        local_head.bias.copy_(head.bias[part])
    mine, whole = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    got, want = local(mine, local_head, targets), full(whole, head, targets)
    got.loss.backward()
    want.loss.backward()
    assert (got.correct, got.count) == (want.correct, want.count)
    pairs = [
        (got.loss, want.loss),
        (mine.grad, whole.grad),
        *((got.terms[name], want.terms[name]) for name in want.terms),
    ]
    for mine_, whole_ in ((local_head, head), (local.auxiliary, full.auxiliary)):
        pairs += [(mine_.weight.grad, whole_.weight.grad[part]), (mine_.bias.grad, whole_.bias.grad[part])]
    if kind == "dense":
        pairs.append((local.embedding.weight.grad, full.embedding.weight.grad[:, part]))
    else:
        pairs.append((local.embedding.codes.grad, full.embedding.codes.weight.grad[part]))
        pairs.append((local.embedding.decoder_weight.grad, full.embedding.decoder.weight.grad[part]))
        pairs.append((local.embedding.decoder_bias.grad, full.embedding.decoder.bias.grad[part]))
    for number, (actual, expected) in enumerate(pairs):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10, msg=f"{shard} {kind} {objective} {number}")


def worker(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    for labels in (2, 4, 11, 507):  # 2 and 4 labels on 3 processes leave one empty
        for kind in ("dense", "compressed"):
            for objective in OBJECTIVES:
                compare(LabelShard.of(labels), kind, objective)
    dist.destroy_process_group()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shards_equal_the_whole(size: int, tmp_path: Path) -> None:
    mp.spawn(worker, args=(size, str(tmp_path)), nprocs=size)


@pytest.mark.parametrize("options", [{"impl": "chunked"}, {"impl": "fused"}, {"control": lambda q, y: q}])
def test_what_is_not_supported_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="shard"):
        LabelEmbeddingLoss(D, 11, shard=LabelShard.of(11), **options)
