"""An LSTM over sentences of unlike lengths does what torch's packed sequences do."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from labelemb.tasks.seq2seq.recurrent import run_ragged, run_step


@pytest.mark.parametrize("lengths", [[5], [1, 1], [7, 7, 7], [3, 7, 1, 7, 2], [2, 4]])
@pytest.mark.parametrize("layers", [1, 2])
def test_values_and_gradients_are_those_of_a_packed_sequence(lengths: list[int], layers: int) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, layers, batch_first=True).double()
    inputs = torch.randn(len(lengths), 7, 3, dtype=torch.float64)
    sizes = torch.tensor(lengths)

    states, last = lstm(pack_padded_sequence(inputs, sizes, batch_first=True, enforce_sorted=False))
    expected = (pad_packed_sequence(states, batch_first=True, total_length=7)[0], *last)
    found_states, found_last = run_ragged(lstm, inputs, sizes)
    found = (found_states, *found_last)

    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    parameters = list(lstm.parameters())
    gradients = (torch.autograd.grad(sum((x * x).sum() for x in made), parameters) for made in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_has_no_part_in_it() -> None:
    lstm = nn.LSTM(3, 4, batch_first=True)
    inputs, lengths = torch.randn(2, 5, 3), torch.tensor([2, 4])
    spoilt = inputs.clone()
    spoilt[0, 2:] = torch.nan
    spoilt[1, 4:] = torch.nan
    for one, other in zip(run_ragged(lstm, inputs, lengths)[1], run_ragged(lstm, spoilt, lengths)[1], strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_a_step_is_one_token_of_the_lstm(layers: int) -> None:
    """Rows that share what they go on from, and rows that share their word; one state that nobody goes on from."""
    lstm, embedding = nn.LSTM(3, 4, layers, batch_first=True).double(), nn.Embedding(6, 3).double()
    hidden, cell = torch.randn(2, layers, 3, 4, dtype=torch.float64)
    words, origin = torch.tensor([5, 2, 5, 1]), torch.tensor([2, 2, 0, 2])
    output, (last_hidden, last_cell) = lstm(embedding(words)[:, None], (hidden[:, origin], cell[:, origin]))
    found, state = run_step(lstm, embedding, words, list(zip(hidden, cell, strict=True)), origin)
    torch.testing.assert_close(found, output[:, 0])
    torch.testing.assert_close(torch.stack([h for h, _ in state]), last_hidden)
    torch.testing.assert_close(torch.stack([c for _, c in state]), last_cell)
