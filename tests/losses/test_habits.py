"""Habits of ``nn.CrossEntropyLoss`` and of model surgery get an answer that says what to write instead."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from labelemb import (
    FrozenLabelEmbeddingLoss,
    LabelEmbeddingLoss,
    LabelSmoothingLoss,
    LinearCrossEntropyLoss,
    PSKDLoss,
    SoftLabelMatrixLoss,
    TfKDLoss,
)
from labelemb.errors import ConfigError, DataError, ShapeError

from ..refusal import refuses

D, V, N = 4, 3, 6
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "label_embedding": lambda: LabelEmbeddingLoss(D, V),
    "cross_entropy": LinearCrossEntropyLoss,
    "label_smoothing": LabelSmoothingLoss,
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def batch() -> tuple[Tensor, nn.Linear, Tensor]:
    torch.manual_seed(0)
    return torch.randn(N, D, requires_grad=True), nn.Linear(D, V), torch.arange(N) % V


@every_loss
def test_logits_and_targets(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    with refuses(ConfigError, "loss(...)", got="loss(logits, targets)", hint="loss(hidden, head, targets)"):
        LOSSES[name]()(head(hidden), targets)
    with refuses(ShapeError, "hidden", f"(..., {D})", (N, V), hint="look like logits"):
        LOSSES[name]()(head(hidden), head, targets)


@pytest.mark.parametrize("argument", ["reduction", "weight", "label_smoothing", "size_average"])
def test_arguments_of_cross_entropy(argument: str) -> None:
    with refuses(ConfigError, argument, "LabelEmbeddingLoss"):
        LabelEmbeddingLoss(D, V, **{argument: 0.1})
    with refuses(ConfigError, argument, "LinearCrossEntropyLoss"):
        LinearCrossEntropyLoss(**{argument: 0.1})


def test_a_loss_that_has_the_argument_takes_it() -> None:
    assert TfKDLoss(V, weight=0.2).weight == 0.2
    assert PSKDLoss(V, num_samples=5, epochs=2, weight=0.3).weight == 0.3


@every_loss
def test_targets(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    loss = LOSSES[name]()
    with refuses(ShapeError, "targets", "torch.int64", torch.float32, hint="MixedTargets"):
        loss(hidden, head, torch.full((N, V), 1 / V))
    with refuses(ShapeError, "targets", "torch.int64", torch.int32, hint="targets.long()"):
        loss(hidden, head, targets.int())
    with refuses(ShapeError, "targets", "torch.int64", torch.float32, hint="targets.long()"):
        loss(hidden, head, targets.float())
    with refuses(ShapeError, "targets", f"({N},)", (N, V), hint="argmax"):
        loss(hidden, head, nn.functional.one_hot(targets, V))
    with refuses(ShapeError, "targets", f"({N},)", (2 * N,), hint="different sizes"):
        loss(hidden, head, torch.cat([targets, targets]))


@every_loss
def test_half_precision_without_autocast(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    with refuses(ShapeError, "hidden", "torch.float32", torch.float16, hint="torch.autocast"):
        LOSSES[name]()(hidden.half(), head, targets)


@every_loss
def test_heads_that_are_none(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    loss = LOSSES[name]()
    with refuses(ShapeError, "head", "nn.Linear", "Sequential", hint="last Linear"):
        loss(hidden, nn.Sequential(nn.Dropout(), head), targets)
    with refuses(ShapeError, "head", "nn.Linear", "Embedding", hint="head.weight = embedding.weight"):
        loss(hidden, nn.Embedding(V, D), targets)


def test_a_linear_layer_that_is_not_the_last(batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, _, targets = batch
    with refuses(ShapeError, "head.weight", f"({V}, {D})", (8, D), hint="last linear layer"):
        LabelEmbeddingLoss(D, V)(hidden, nn.Linear(D, 8), targets)


class CosineHead(nn.Module):
    """Logits are cosines times a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(V, D))

    def forward(self, x: Tensor) -> Tensor:
        return 8 * nn.functional.normalize(x, dim=-1) @ nn.functional.normalize(self.weight, dim=-1).T


class LoRALinear(nn.Linear):
    """A frozen layer and a low-rank update, as PEFT wraps it."""

    def __init__(self) -> None:
        super().__init__(D, V)
        self.weight.requires_grad_(False)
        self.down, self.up = nn.Linear(D, 1, bias=False), nn.Linear(1, V, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + self.up(self.down(input))


@pytest.mark.parametrize("make", [CosineHead, LoRALinear])
@pytest.mark.parametrize("name", LOSSES)
def test_other_heads_work_in_eager_and_auto(
    name: str, make: Callable[[], nn.Module], batch: tuple[Tensor, nn.Linear, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelemb.ops.backends.EAGER_LABELS", 1)  # auto would be chunked
    hidden, _, targets = batch
    head = make()
    out = LOSSES[name]()(hidden, head, targets)
    out.loss.backward()
    torch.testing.assert_close(out.logits, head(hidden).detach())
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    assert hidden.grad is not None


@pytest.mark.parametrize("make", [CosineHead, LoRALinear])
def test_chunked_refuses_other_heads(make: Callable[[], nn.Module], batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, _, targets = batch
    for loss in (LabelEmbeddingLoss(D, V, impl="chunked"), LinearCrossEntropyLoss(impl="chunked")):
        with refuses(ConfigError, "head", "nn.Linear", make.__name__, hint="impl='eager'"):
            loss(hidden, make(), targets)


@pytest.mark.parametrize("impl", ["eager", "chunked"])
def test_a_tied_head(impl: str) -> None:
    torch.manual_seed(0)
    words, tokens = nn.Embedding(V, D), torch.arange(N) % V
    head = nn.Linear(D, V, bias=False)
    head.weight = words.weight
    LabelEmbeddingLoss(D, V, impl=impl)(torch.tanh(words(tokens)), head, tokens).loss.backward()
    both = words.weight.grad.clone()
    words.weight.grad = None
    LabelEmbeddingLoss(D, V, impl=impl)(torch.tanh(words(tokens)).detach(), head, tokens).loss.backward()
    assert not torch.allclose(both, words.weight.grad), "the gradient has the part of the lookup, too"


@every_loss
def test_logits_and_unweighted_terms(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    out = LOSSES[name]()(hidden.view(2, 3, D), head, targets.view(2, 3))
    torch.testing.assert_close(out.logits, head(hidden).detach().view(2, 3, V))
    assert not out.logits.requires_grad
    torch.testing.assert_close(out.unweighted["hard"], nn.functional.cross_entropy(head(hidden), targets).detach())
    assert LinearCrossEntropyLoss(impl="chunked")(hidden, head, targets).logits is None


@every_loss
def test_an_index_that_is_no_tensor(name: str, batch: tuple[Tensor, nn.Linear, Tensor]) -> None:
    hidden, head, targets = batch
    with refuses(ShapeError, "index", "a tensor", "list"):
        LOSSES[name]()(hidden, head, targets, index=list(range(N)))


def test_soft_labels_of_another_type() -> None:
    with refuses(ConfigError, "embedding", "a label embedding", "Tensor", hint="SoftLabelMatrixLoss"):
        FrozenLabelEmbeddingLoss(torch.eye(V))
    with refuses(DataError, "soft_labels", "a tensor", "list"):
        SoftLabelMatrixLoss([[0.9, 0.1], [0.2, 0.8]])
