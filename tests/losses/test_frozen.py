"""The loss with a frozen embedding, against its formula and the laws that all losses here keep."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding, FrozenLabelEmbeddingLoss
from labelemb.errors import ConfigError, DataError, ShapeError
from labelemb.terms.embedding import LabelEmbedding
from tests.processes import run_in_processes


def make(rows: int = 12, beta: float = 0.3) -> tuple[FrozenLabelEmbeddingLoss, nn.Linear, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    embedding = DenseLabelEmbedding(5).double()
    with torch.no_grad():
        embedding.weight.add_(0.5 * torch.randn(5, 5))
    hidden = torch.randn(rows, 4, dtype=torch.float64, requires_grad=True)
    return FrozenLabelEmbeddingLoss(embedding, beta), nn.Linear(4, 5).double(), hidden, torch.randint(5, (rows,))


def test_the_embedding_that_was_handed_over_goes_on_learning() -> None:
    embedding = DenseLabelEmbedding(3)
    loss = FrozenLabelEmbeddingLoss(embedding)
    assert embedding.weight.requires_grad
    assert not [p for p in loss.parameters() if p.requires_grad]


def test_by_hand() -> None:
    """Two labels, E the identity, logits (0, log 3), label 0."""
    head = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [math.log(3)]]))
    out = FrozenLabelEmbeddingLoss(DenseLabelEmbedding(2), beta=0.25)(torch.ones(1, 1), head, torch.tensor([0]))
    hard, q = math.log(4), math.e / (1 + math.e)
    soft = q * math.log(4) + (1 - q) * math.log(4 / 3)
    assert float(out.loss.detach()) == pytest.approx(0.25 * hard + 0.75 * soft)
    assert {name: float(value) for name, value in out.terms.items()} == pytest.approx(
        {"hard": 0.25 * hard, "soft": 0.75 * soft}
    )


def test_value_and_gradients_follow_the_formula() -> None:
    """Softmax cross entropy with the target beta * onehot + (1 - beta) * softmax(E[y]): torch's own, and p - t."""
    loss, head, hidden, targets = make()
    loss(hidden, head, targets).loss.backward()
    mixed = 0.3 * F.one_hot(targets, 5) + 0.7 * loss.embedding.soft_labels()[targets]
    again = hidden.detach().requires_grad_()
    want = F.cross_entropy(head(again), mixed)
    torch.testing.assert_close(loss(hidden, head, targets).loss, want)
    want_head = (head(again).softmax(1) - mixed).T.detach() @ again.detach() / 12
    torch.testing.assert_close(head.weight.grad, want_head)
    torch.testing.assert_close(hidden.grad, ((head(again).softmax(1) - mixed) @ head.weight / 12).detach())


def test_nothing_of_it_is_trained_and_all_of_it_is_saved() -> None:
    loss, head, hidden, targets = make()
    loss(hidden, head, targets).loss.backward()
    assert not any(p.requires_grad or p.grad is not None for p in loss.parameters())
    assert list(loss.state_dict()) == ["embedding.weight"]
    loss.step()


def test_ignored_rows_are_rows_that_are_not_there() -> None:
    loss, head, hidden, targets = make(20)
    keep = torch.arange(20) % 3 > 0
    broken = torch.where(keep[:, None], hidden.detach(), torch.nan).requires_grad_()
    masked = loss(broken, head, torch.where(keep, targets, -100))
    masked.loss.backward()
    from_masked = head.weight.grad.clone()
    head.zero_grad()
    dropped = loss(hidden[keep], head, targets[keep])
    dropped.loss.backward()
    torch.testing.assert_close(masked.loss, dropped.loss)
    torch.testing.assert_close(from_masked, head.weight.grad)
    assert (masked.correct, masked.count) == (dropped.correct, dropped.count)
    assert not broken.grad[~keep].any()
    torch.testing.assert_close(broken.grad[keep], hidden.grad[keep])


@pytest.mark.parametrize("rows", [0, 3])
def test_a_batch_without_rows_gives_zero(rows: int) -> None:
    loss, head, hidden, _ = make(rows)
    out = loss(hidden, head, torch.full((rows,), -100))
    out.loss.backward()
    assert float(out.loss.detach()) == 0
    assert int(out.count) == 0
    assert not head.weight.grad.any()


def test_pieces_with_the_denominator_of_the_whole() -> None:
    loss, head, hidden, targets = make()
    whole = loss(hidden, head, targets)
    pieces = [loss(hidden[part], head, targets[part], num_items_in_batch=12) for part in (slice(0, 5), slice(5, 12))]
    for name in ("hard", "soft"):
        torch.testing.assert_close(pieces[0].terms[name] + pieces[1].terms[name], whole.terms[name])


def part_of_two(folder: str) -> None:
    part = dist.get_rank()
    loss, head, hidden, targets = make()
    rows = slice(0, 3) if part == 0 else slice(3, None)
    out = loss(hidden[rows], head, targets[rows])
    out.loss.backward()
    gradient, total = head.weight.grad, out.loss.detach()
    for tensor in (gradient, total):
        dist.all_reduce(tensor)
    torch.save((total / 2, gradient / 2), f"{folder}/{part}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_in_processes(2, tmp_path, part_of_two, str(tmp_path))
    loss, head, hidden, targets = make()
    whole = loss(hidden, head, targets)
    whole.loss.backward()
    for part in range(2):
        total, gradient = torch.load(tmp_path / f"{part}.pt")
        torch.testing.assert_close(total, whole.loss.detach())
        torch.testing.assert_close(gradient, head.weight.grad)


def test_autocast_and_compile() -> None:
    loss, head, hidden, targets = make()
    loss, head, hidden = loss.float(), head.float(), hidden.detach().float().requires_grad_()
    exact = loss(hidden, head, targets).loss.detach()
    with torch.autocast("cpu", torch.bfloat16):
        out = loss(hidden, head, targets)
    assert out.loss.dtype == torch.float32
    assert float(out.loss.detach()) == pytest.approx(float(exact), rel=0.05)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(hidden, head, targets).loss, exact)


def test_refusals() -> None:
    loss, head, hidden, targets = make()
    with pytest.raises(ConfigError, match="beta: expected a number from 0 to 1, got 2"):
        FrozenLabelEmbeddingLoss(DenseLabelEmbedding(3), beta=2)
    with pytest.raises(ShapeError, match=r"head.weight: expected shape \(5, 4\), got \(6, 4\)"):
        loss(hidden, nn.Linear(4, 6).double(), targets)
    with pytest.raises(DataError, match=r"labels 0\.\.4"):
        loss(hidden, head, targets + 5)


@pytest.mark.parametrize("kind", ["dense", "compressed"])
def test_labels_are_matched_by_name(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    learned: LabelEmbedding = DenseLabelEmbedding(4) if kind == "dense" else CompressedLabelEmbedding(4, 3)
    with torch.no_grad():
        for parameter in learned.parameters():
            parameter.copy_(torch.randn_like(parameter))
    learned.save(tmp_path / "e.safetensors", ["a", "b", "c", "d"])
    loaded = LabelEmbedding.load(tmp_path / "e.safetensors")
    part = loaded.select(["d", "b", "a"])
    assert part.label_names == ["d", "b", "a"]
    numbers = torch.tensor([3, 1, 0])
    torch.testing.assert_close(part.matrix(), learned.matrix()[numbers][:, numbers])
    assert torch.equal(loaded.matrix(), learned.matrix()), "the whole is left as it is"
    with pytest.raises(DataError, match=r"embedding: expected .* all 3 labels \(it has 4\), got none for x, y"):
        loaded.select(["x", "a", "y"])
    with pytest.raises(DataError, match="one with label names in its file"):
        learned.select(["a"])
