"""The LSTM over padded sequences equals torch's packed sequences; a single step equals the LSTM."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from labelemb.tasks.seq2seq.recurrent import lstm_step, run_lstm


@pytest.mark.parametrize("lengths", [[5], [1, 1], [7, 7, 7], [3, 7, 1, 7, 2], [2, 4]])
@pytest.mark.parametrize("layers", [1, 2])
def test_run_lstm_equals_packed_sequence(lengths: list[int], layers: int) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, layers, batch_first=True).double()
    inputs = torch.randn(len(lengths), 7, 3, dtype=torch.float64)
    sizes = torch.tensor(lengths)

    states, last = lstm(pack_padded_sequence(inputs, sizes, batch_first=True, enforce_sorted=False))
    expected = (pad_packed_sequence(states, batch_first=True, total_length=7)[0], *last)
    found_states, found_last = run_lstm(lstm, inputs, sizes)
    found = (found_states, *found_last)

    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    parameters = list(lstm.parameters())
    gradients = (torch.autograd.grad(sum((x * x).sum() for x in made), parameters) for made in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)

    with torch.no_grad():
        states, last = run_lstm(lstm, inputs, sizes)
    for one, other in zip((states, *last), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_is_ignored() -> None:
    lstm = nn.LSTM(3, 4, batch_first=True)
    inputs, lengths = torch.randn(2, 5, 3), torch.tensor([2, 4])
    corrupted = inputs.clone()
    corrupted[0, 2:] = torch.nan
    corrupted[1, 4:] = torch.nan
    for one, other in zip(run_lstm(lstm, inputs, lengths)[1], run_lstm(lstm, corrupted, lengths)[1], strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("parents", [[2, 2, 0, 2], [3, 0, 2, 1], [0, 1, 2, 3]])
@pytest.mark.parametrize("layers", [1, 2])
def test_lstm_step_equals_the_lstm(layers: int, parents: list[int]) -> None:
    """Hypotheses that share a parent or a token, and a parent without continuation; all twice, to use the new state."""
    lstm, embedding = nn.LSTM(3, 4, layers, batch_first=True).double(), nn.Embedding(6, 3).double()
    hidden, cell = torch.randn(2, layers, 4, 4, dtype=torch.float64)
    state = list(zip(hidden, cell, strict=True))
    for tokens in (torch.tensor([5, 2, 5, 1]), torch.tensor([0, 1, 2, 3])):
        output, (hidden, cell) = lstm(embedding(tokens)[:, None], (hidden[:, parents], cell[:, parents]))
        found, state = lstm_step(lstm, embedding, tokens, state, torch.tensor(parents))
        torch.testing.assert_close(found, output[:, 0])
        torch.testing.assert_close(torch.stack([h for h, _ in state]), hidden)
        torch.testing.assert_close(torch.stack([c for _, c in state]), cell)
