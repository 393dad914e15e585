"""State that belongs to a single process."""

import copy
import pickle

import torch
from torch import nn

from labelemb import OnlineLabelSmoothingLoss
from labelemb.terms.rank_local import PendingState, SavedState


def test_state_follows_device_and_wider_dtypes_only() -> None:
    notes = PendingState(3).double()
    assert notes.value.dtype == torch.float64
    assert notes.bfloat16().value.dtype == torch.float64
    assert PendingState(3).half().value.dtype == torch.float32
    assert PendingState(3, dtype=torch.bool).half().value.dtype == torch.bool
    assert PendingState(3).to("meta").value.device.type == "meta"


def test_state_is_not_a_buffer_and_is_saved_on_request() -> None:
    notes, saved = PendingState(2), SavedState(torch.zeros(2))
    assert not [*notes.buffers(), *saved.buffers(), *notes.state_dict()]
    saved.value += 3
    other = SavedState(torch.zeros(2))
    other.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert other.value.tolist() == [3, 3]


def test_loading_discards_pending_updates() -> None:
    for notes in (PendingState(2), copy.deepcopy(PendingState(2)), pickle.loads(pickle.dumps(PendingState(2)))):
        notes.value += 1
        nn.ModuleList([notes]).load_state_dict({})
        assert not notes.value.any()


def test_counts_are_exact_in_bf16_models() -> None:
    loss = OnlineLabelSmoothingLoss(2).bfloat16()
    head = nn.Linear(1, 2, bias=False).bfloat16()
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [0.0]]))
    for _ in range(10):
        loss(torch.ones(100, 1, dtype=torch.bfloat16), head, torch.zeros(100, dtype=torch.int64))
    assert loss.new_counts.value.tolist() == [1000, 0]
