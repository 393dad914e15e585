"""An LSTM over sentences of unlike lengths. B sentences, S tokens, D hidden size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # of an LSTM: (layers, B, D) each; of one layer: (B, D) each


def run_ragged(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
    """Return the states (B, S, D), zero behind a sentence, and the state after the last token of each sentence.

    What torch's packed sequences give, but one call of the fused LSTM for all tokens up to the next length at which a
    sentence ends, instead of one small step per token: on a CPU the gradient of a packed sequence goes over the whole
    input once per token (64 sentences of 200 tokens, fp32: 24 times as long; of 20 tokens: 1.7 times).

    inputs (B, S, I) padded, B >= 1; lengths (B,) int64 on the CPU, 1..S
    """
    order = lengths.argsort(descending=True, stable=True)
    back = order.argsort().to(inputs.device)
    longest_first, ends = inputs[order.to(inputs.device)], lengths[order]
    pieces: list[Tensor] = []
    finished: list[State] = []
    state: State | None = None
    start = 0
    for end in sorted(set(lengths.tolist())):
        going = int((ends >= end).sum())
        if state is not None:
            finished.append((state[0][:, going:], state[1][:, going:]))
            state = (state[0][:, :going].contiguous(), state[1][:, :going].contiguous())
        states, state = lstm(longest_first[:going, start:end], state)
        pieces.append(F.pad(states, (0, 0, 0, 0, 0, len(inputs) - going)))
        start = end
    assert state is not None
    finished.append(state)
    last_hidden, last_cell = (torch.cat(parts[::-1], dim=1)[:, back] for parts in zip(*finished, strict=True))
    behind = inputs.shape[1] - start
    return F.pad(torch.cat(pieces, dim=1)[back], (0, 0, 0, behind)), (last_hidden, last_cell)


def run_step(
    lstm: nn.LSTM, embedding: nn.Embedding, words: Tensor, state: Sequence[State], origin: Tensor
) -> tuple[Tensor, list[State]]:
    """Return the output (N, D) and the state, layer by layer, after one more word of each of N rows.

    What ``lstm`` gives in ``eval`` mode, for less: on a CPU a call of it rearranges all its weights each time (512
    units, 2 layers, fp32: 8 times as long for one sentence, 1.6 for eight), and what rows have in common is computed
    once: the beginnings of a beam go on from few, with few words.

    words   (N,) int64
    state   per layer hidden and cell, (M, D)
    origin  (N,) int64, which of the M rows of the state each goes on from
    """
    origins, origin = torch.unique(origin, return_inverse=True)
    distinct, word = torch.unique(words, return_inverse=True)
    inputs, after = embedding(distinct), list[State]()
    for layer, (hidden, cell) in enumerate(state):
        from_input, from_hidden, input_bias, hidden_bias = lstm.all_weights[layer]
        gates = F.linear(inputs, from_input, input_bias)
        gates = gates[word] if not layer else gates
        gates = gates + F.linear(hidden[origins], from_hidden, hidden_bias)[origin]
        write, keep, new, show = gates.chunk(4, dim=1)
        cell = keep.sigmoid() * cell[origins][origin] + write.sigmoid() * new.tanh()
        inputs = show.sigmoid() * cell.tanh()
        after.append((inputs, cell))
    return inputs, after
