"""capture_head_input records and changes nothing."""

import copy

import pytest
import torch
from torch import nn

from labelemb import LabelEmbeddingLoss, capture_head_input
from labelemb.errors import DataError

from ..refusal import refuses


def test_records_what_enters_the_head_and_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    images = torch.randn(5, 3)
    before = model(images)
    with capture_head_input(model[2]) as hidden:
        during = model(images)
    assert torch.equal(before, during)
    assert torch.equal(model[2](hidden.hidden), during)
    assert not model[2]._forward_pre_hooks
    LabelEmbeddingLoss(4, 2)(hidden.hidden, model[2], torch.zeros(5, dtype=torch.int64)).loss.backward()
    assert model[0].weight.grad is not None


def test_a_head_that_never_ran_is_an_error() -> None:
    head = nn.Linear(4, 2)
    with capture_head_input(head) as hidden, pytest.raises(DataError, match="a forward pass through the head"):
        _ = hidden.hidden


def test_the_hook_goes_when_the_block_fails() -> None:
    head = nn.Linear(4, 2)
    with pytest.raises(RuntimeError), capture_head_input(head):
        raise RuntimeError
    assert not head._forward_pre_hooks


def test_one_forward_pass_per_block() -> None:
    head = nn.Linear(4, 2)
    with capture_head_input(head) as captured:
        head(torch.ones(1, 4))
        head(torch.zeros(1, 4))
    with refuses(DataError, "capture_head_input", "one forward pass", "several", hint="a block for each"):
        _ = captured.hidden
    with captured:
        head(torch.ones(3, 4))
    assert captured.hidden.shape == (3, 4), "a new block starts anew"


def test_copies_of_the_model_on_parts_of_the_batch() -> None:
    """``nn.DataParallel`` runs shallow copies of the model, which share its hooks."""
    head = nn.Linear(4, 2)
    with capture_head_input(head) as captured:
        for part in torch.ones(6, 4).chunk(2):
            copy.copy(head)(part)
    with refuses(DataError, "capture_head_input", "whole batch", "DataParallel", hint="DistributedDataParallel"):
        _ = captured.hidden


def test_a_forward_pass_without_gradients() -> None:
    head = nn.Linear(4, 2)
    with torch.no_grad(), capture_head_input(head) as captured:
        head(torch.ones(1, 4))
        assert captured.hidden.shape == (1, 4), "fine for an evaluation"
    with refuses(DataError, "capture_head_input", "with gradients", "no_grad"):
        _ = captured.hidden
    head.eval()
    assert captured.hidden.shape == (1, 4)


def test_something_else_than_a_module() -> None:
    with refuses(DataError, "head", "model.fc", "str"):
        capture_head_input("fc")
