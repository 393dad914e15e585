"""Warnings about training that cannot work: given once, with the remedy, and never for training that works."""

import warnings

import torch
from torch import nn

from labelemb import LabelEmbeddingLoss, Objective
from labelemb.losses.monitor import CHECK_AFTER, EMBEDDING_CHECK_AFTER

LABELS, SIZE = 3, 4


def train(
    loss: LabelEmbeddingLoss,
    optimizer: torch.optim.Optimizer | None,
    head: nn.Linear,
    calls: int = 2 * CHECK_AFTER,
    detached: bool = False,
) -> list[str]:
    """Return the warnings of a number of training calls."""
    torch.manual_seed(0)
    hidden, targets = torch.randn(8, SIZE, requires_grad=not detached), torch.arange(8) % LABELS
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(calls):
            loss(hidden, head, targets).loss.backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
        loss.epoch_end()
    return [str(warning.message) for warning in caught]


def make(lr: float = 1e-3) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(1)
    head = nn.Linear(SIZE, LABELS)
    return head, torch.optim.Adam(head.parameters(), lr=lr)


def test_parameters_that_no_optimizer_has() -> None:
    head, optimizer = make()
    found = train(LabelEmbeddingLoss(SIZE, LABELS), optimizer, head)
    assert len(found) == 1
    assert "expected an optimizer" in found[0]
    assert "loss.attach(optimizer)" in found[0]


def test_an_attached_loss_says_nothing() -> None:
    head, optimizer = make()
    assert train(LabelEmbeddingLoss(SIZE, LABELS).attach(optimizer), optimizer, head) == []
    head, optimizer = make()
    loss = LabelEmbeddingLoss(SIZE, LABELS, objective=Objective.low_data(700)).attach(optimizer)
    assert train(loss, optimizer, head) == []


def test_neither_evaluation_nor_calls_without_a_backward_pass_warn() -> None:
    head, _ = make()
    loss = LabelEmbeddingLoss(SIZE, LABELS).eval()
    assert train(loss, None, head) == []
    loss = LabelEmbeddingLoss(SIZE, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(CHECK_AFTER + 1):
            loss(torch.randn(2, SIZE, requires_grad=True), head, torch.tensor([0, 1]))


def test_an_embedding_that_does_not_move() -> None:
    """At the rate of fine-tuning, in the model's own group, as people do it without ``attach``."""
    for calls in (2 * CHECK_AFTER, EMBEDDING_CHECK_AFTER + 1):
        head, _ = make()
        loss = LabelEmbeddingLoss(SIZE, LABELS)
        optimizer = torch.optim.Adam([*head.parameters(), *loss.parameters()], lr=5e-5)
        found = train(loss, optimizer, head, calls)
        assert len(found) == 1
        assert "label embedding: expected a change" in found[0]
        assert "loss.attach(optimizer)" in found[0]


def test_hidden_states_without_a_gradient() -> None:
    head, optimizer = make()
    found = train(LabelEmbeddingLoss(SIZE, LABELS).attach(optimizer), optimizer, head, detached=True)
    assert len(found) == 1
    assert "detach()" in found[0]
