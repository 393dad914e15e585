"""capture_head_input records and changes nothing."""

import pytest
import torch
from torch import nn

from labelemb import LabelEmbeddingLoss, capture_head_input
from labelemb.errors import DataError


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
