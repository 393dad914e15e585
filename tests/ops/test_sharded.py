"""Labels split over 2, 3 and 4 gloo processes give the value and the gradients of one process that holds them all."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from labelemb import (
    CompressedLabelEmbedding,
    LabelEmbeddingLoss,
    LabelShard,
    LinearCrossEntropyLoss,
    LossModel,
    MixedTargets,
)
from labelemb.errors import ConfigError
from tests.ops import sharded_cases
from tests.processes import run_in_processes


@pytest.mark.parametrize("size", [2, 3, 4])
def test_shards_equal_the_whole(size: int, tmp_path: Path) -> None:
    run_in_processes(size, tmp_path, sharded_cases.all_cases, str(tmp_path))


def test_one_process_has_the_bits_of_the_unsharded_loss() -> None:
    torch.manual_seed(0)
    full = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), impl="eager")
    local = LabelEmbeddingLoss(6, 11, CompressedLabelEmbedding(11, 4), shard=LabelShard.of(11))
    local.load_full_state_dict(full.state_dict())
    head, hidden, targets = nn.Linear(6, 11), torch.randn(9, 6), torch.randint(11, (9,))
    grads = []
    for loss in (full, local):
        here, layer = hidden.clone().requires_grad_(), copy.deepcopy(head)
        value = loss(here, layer, targets).loss
        value.backward()
        grads.append([value, here.grad, *(p.grad for p in [*layer.parameters(), *loss.parameters()])])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_a_sample_of_the_labels_estimates_the_sum_over_all() -> None:
    torch.manual_seed(0)
    loss = LinearCrossEntropyLoss(shard=LabelShard.of(20, sampled=0.3))
    head, hidden, targets = nn.Linear(6, 20), torch.randn(1, 6, requires_grad=True), torch.tensor([3])
    exact = loss.eval()(hidden, head, targets)
    loss.train()
    outputs = [loss(hidden, head, targets) for _ in range(500)]
    assert exact.logits.shape == (1, 20)
    assert outputs[0].logits.shape == (1, 6)
    mean = torch.stack([output.loss.exp() for output in outputs]).mean()  # the sum of exponentials over exp(z[y])
    torch.testing.assert_close(mean, exact.loss.exp(), rtol=0.05, atol=0)
    outputs[0].loss.backward()
    assert int((head.weight.grad.abs().sum(1) > 0).sum()) == 6


def test_many_labels_are_computed_in_chunks_unless_the_head_or_the_user_says_otherwise() -> None:
    shard, hidden, targets = LabelShard.of(1500, sampled=0.5), torch.randn(4, 6), torch.tensor([0, 1, 1499, -100])
    plain, scaled = nn.Linear(6, 1500), ScaledLinear(6, 1500)
    assert LinearCrossEntropyLoss(shard=shard)(hidden, plain, targets).logits is None
    assert LinearCrossEntropyLoss(shard=shard)(hidden, scaled, targets).logits is not None
    assert LinearCrossEntropyLoss(shard=shard, impl="eager")(hidden, plain, targets).logits is not None
    with pytest.raises(ConfigError, match="ScaledLinear"):
        LinearCrossEntropyLoss(shard=shard, impl="chunked")(hidden, scaled, targets)


class ScaledLinear(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def test_evaluation_returns_logits_with_many_labels() -> None:
    """A model in evaluation mode promises logits, which the default loss does not compute for so many labels."""
    shard = LabelShard.of(1500, sampled=0.5)
    model = LossModel(nn.Sequential(nn.Linear(6, 1500)), LabelEmbeddingLoss(6, 1500, shard=shard)).eval()
    found = model(torch.randn(4, 6), labels=torch.tensor([0, 1, 1499, -100]))
    assert found["logits"].shape == (4, 1500)
    assert found["loss"].isfinite()


def test_mixed_targets_are_refused() -> None:
    mixed = MixedTargets(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5]))
    with pytest.raises(ConfigError, match="mixed targets"):
        LinearCrossEntropyLoss(shard=LabelShard.of(4, sampled=0.5))(torch.zeros(1, 3), nn.Linear(3, 4), mixed)


@pytest.mark.parametrize("options", [{"impl": "fused"}, {"control": lambda q, y: q}, {"filter_eps": 1e-4}])
def test_what_is_not_supported_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="shard"):
        LabelEmbeddingLoss(6, 11, shard=LabelShard.of(11), **options)


def test_a_shard_of_other_labels_is_refused() -> None:
    shard = LabelShard.of(12)
    for make in (
        lambda: LabelEmbeddingLoss(6, 11, shard=shard),
        lambda: LabelEmbeddingLoss(6, 12, CompressedLabelEmbedding(11, 4), shard=shard),
        lambda: CompressedLabelEmbedding(11, 4, shard=shard),
    ):
        with pytest.raises(ConfigError, match="12 labels|11 labels"):
            make()
