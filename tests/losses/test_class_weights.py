"""Class weights: a row of a class with weight 2 counts as two rows, in every loss and every implementation."""

import copy

import pytest
import torch
from torch import Tensor, nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, LinearCrossEntropyLoss, Objective
from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.terms.output import MixedTargets

from ..ops.vocabulary import FORMS
from .baselines.cases import CASES, LABELS, SIZE

WEIGHTS = [2.0, 1.0, 3.0, 1.0, 2.0]
MIXING = sorted(name for name, make in CASES.items() if make().supports_mixed_targets)


def losses() -> dict[str, Loss]:
    torch.manual_seed(0)
    found: dict[str, Loss] = {name: make() for name, make in CASES.items()}
    for form, objective in FORMS.items():
        for impl in ("eager", "chunked"):
            found[f"label_embedding {form} {impl}"] = LabelEmbeddingLoss(SIZE, LABELS, objective=objective, impl=impl)  # type: ignore[arg-type]
    compressed = CompressedLabelEmbedding(LABELS, 3)
    found["compressed chunked"] = LabelEmbeddingLoss(SIZE, LABELS, compressed, impl="chunked", chunk_bytes=100)
    running = Objective(embedding_update="running_mean")
    found["running mean"] = LabelEmbeddingLoss(SIZE, LABELS, objective=running)
    found["cross_entropy chunked"] = LinearCrossEntropyLoss(impl="chunked")
    return {name: loss.double() for name, loss in found.items()}


def batch(loss: Loss, rows: int = 12) -> tuple[nn.Linear, Tensor, Tensor]:
    """About half of the rows are predicted right, by both heads of a label-embedding loss; the last is ignored."""
    torch.manual_seed(1)
    head = nn.Linear(SIZE, LABELS).double()
    hidden = torch.randn(rows, SIZE, dtype=torch.float64)
    predictor = loss.auxiliary if isinstance(loss, LabelEmbeddingLoss) else head
    right = predictor(hidden).argmax(1)
    targets = torch.where(torch.rand(rows) < 0.5, right, torch.randint(LABELS, (rows,)))
    targets[-1] = -100
    return head, hidden, targets


def gradients(loss: Loss, head: nn.Linear, value: Tensor) -> list[Tensor | None]:
    leaves = [*head.parameters(), *(p for p in loss.parameters() if p.requires_grad)]
    return list(torch.autograd.grad(value, leaves, allow_unused=True))


@pytest.mark.parametrize("name", losses())
def test_weighted_rows_equal_repeated_rows(name: str) -> None:
    loss = losses()[name]
    again, weighted = copy.deepcopy(loss), loss.set_class_weights(WEIGHTS)
    head, hidden, targets = batch(loss)
    index = torch.arange(len(targets))
    counts = torch.where(targets >= 0, torch.tensor(WEIGHTS)[targets.clamp(min=0)].long(), 1)
    rows = index.repeat_interleave(counts)
    one = weighted(hidden, head, targets, index=index)
    many = again(hidden[rows], head, targets[rows], index=rows)
    torch.testing.assert_close(one.loss, many.loss)
    torch.testing.assert_close(one.terms, many.terms)
    torch.testing.assert_close(gradients(loss, head, one.loss), gradients(again, head, many.loss))
    assert int(one.count) == len(targets) - 1
    for each in (weighted, again):
        each.epoch_end()
    if isinstance(loss, LabelEmbeddingLoss):
        torch.testing.assert_close(loss.embedding.matrix(), again.embedding.matrix())  # type: ignore[union-attr]


def test_cross_entropy_is_torchs_own() -> None:
    loss = LinearCrossEntropyLoss().set_class_weights(WEIGHTS)
    head, hidden, targets = batch(loss)
    want = nn.functional.cross_entropy(head(hidden), targets, torch.tensor(WEIGHTS, dtype=torch.float64))
    torch.testing.assert_close(loss(hidden, head, targets).loss, want)


@pytest.mark.parametrize("name", ["cross_entropy", "ols", "label_embedding seq2seq eager"])
def test_micro_batches_divide_by_the_weight_of_the_whole(name: str) -> None:
    loss = losses()[name].set_class_weights(WEIGHTS)
    head, hidden, targets = batch(loss)
    whole = loss(hidden, head, targets).loss
    parts = [slice(0, 5), slice(5, 12)]
    total = sum(loss.count_items(targets[part]) for part in parts)
    pieces = [loss(hidden[part], head, targets[part], num_items_in_batch=total).loss for part in parts]
    torch.testing.assert_close(pieces[0] + pieces[1], whole)


@pytest.mark.parametrize("name", MIXING)
def test_each_part_of_a_mixed_target_has_the_weight_of_its_class(name: str) -> None:
    plain, weighted = (CASES[name]().double() for _ in range(2))
    weighted.set_class_weights(WEIGHTS)
    head, hidden, first = batch(plain)
    first, second, share = first[:-1], first[:-1].flip(0), torch.full((len(first) - 1,), 0.25)
    got = weighted(hidden[:-1], head, MixedTargets(first, second, share)).loss

    def part(labels: Tensor, row: int) -> Tensor:
        return WEIGHTS[labels[row]] * plain(hidden[row : row + 1], head, labels[row : row + 1]).loss

    sums = [0.25 * part(first, row) + 0.75 * part(second, row) for row in range(len(first))]
    torch.testing.assert_close(
        got, torch.stack(sums).sum() / float(weighted.count_items(MixedTargets(first, second, share)))
    )


@pytest.mark.parametrize("weights", [[1.0], [[1.0] * LABELS], [1, 1, 1, 1, -1], [1, 1, 1, 1, float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="class_weights: expected"):
        LabelEmbeddingLoss(SIZE, LABELS).set_class_weights(weights)
