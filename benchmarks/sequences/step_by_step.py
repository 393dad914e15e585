"""Reference of ``benchmarks.sequences``: token by token, and one Python object per beam, as published.

Weights, encoder and loss are those of the library; only the decoder differs. B sentences, K prefixes, T target tokens,
S source tokens, D hidden size, V words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from labelemb.tasks.seq2seq.hypothesis import Hypothesis, SearchSettings
from labelemb.tasks.seq2seq.model import LSTMSeq2Seq, Memory
from labelemb.tasks.seq2seq.vocab import BOS, EOS, PAD

State = list[tuple[Tensor, Tensor]]  # hidden and cell (rows, D) of each layer


class StepByStep(nn.Module):
    """An ``LSTMSeq2Seq`` whose decoder is an LSTMCell per layer, called once per target token.

    Args:
        model: The model whose weights are used.
        packed: Whether the encoder reads a packed sequence, as published; else as in the library.
    """

    def __init__(self, model: LSTMSeq2Seq, packed: bool = False) -> None:
        super().__init__()
        self.model, self.head, self.packed = model, model.head, packed

    def forward(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the input of ``head``, shape ``(B, T, D)``."""
        memory, (hidden, cell) = self.encode(source, lengths)
        state: State = list(zip(hidden, cell, strict=True))
        outputs = []
        for token in target_input.unbind(1):
            output, state, _ = self.step(token, state, memory)
            outputs.append(output)
        return torch.stack(outputs, dim=1)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, tuple[Tensor, Tensor]]:
        """Return the memory and the initial state of the decoder."""
        if not self.packed:
            return self.model.encode(source, lengths)
        words = self.model.source_embedding(source)
        states, last = self.model.encoder(pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False))
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        return Memory(padded, torch.arange(source.shape[1]) < lengths[:, None]), last

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """Return hidden (rows, D), the state after the tokens (rows,), and attention (rows, S)."""
        model, after = self.model, State()
        states = model.target_embedding(token)
        for layer, before in enumerate(state):
            if layer:
                states = F.dropout(states, model.dropout.p, model.training)
            after.append(torch.lstm_cell(states, before, *model.decoder.all_weights[layer]))
            states = after[-1][0]
        output, weights = model.attention(states[:, None], *memory)
        return model.dropout(output)[:, 0], after, weights[:, 0]

    def logs(self, hidden: Tensor) -> Tensor:
        """Return the log-probabilities (rows, V); padding and BOS are excluded."""
        logs = torch.log_softmax(self.head(hidden), dim=1)
        logs[:, [PAD, BOS]] = -torch.inf
        return logs


def greedy(model: StepByStep, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Greedy search over all sentences until the last one has ended."""
    memory, (hidden, cell) = model.model.encode(source, lengths)
    state: State = list(zip(hidden, cell, strict=True))
    found: list[tuple[list[int], list[int], float]] = [([], [], 0.0) for _ in source]
    done = [False] * len(source)
    token = torch.full((len(source),), BOS)
    for _ in range(settings.max_length):
        output, state, weights = model.step(token, state, memory)
        best, token = model.logs(output).max(dim=1)
        for row, (word, position, log) in enumerate(
            zip(token.tolist(), weights.argmax(dim=1).tolist(), best.tolist(), strict=True)
        ):
            if not done[row]:
                tokens, positions, score = found[row]
                if word != EOS:
                    tokens.append(word)
                    positions.append(position)
                found[row] = (tokens, positions, score + log)
                done[row] = word == EOS
        if all(done):
            break
    return [Hypothesis(tuple(tokens), tuple(positions), score) for tokens, positions, score in found]


class Beam:
    """The K hypotheses of one sentence."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings, self.done = settings, False
        self.scores = torch.full((settings.beam_size,), -torch.inf)
        self.scores[0] = 0.0
        self.last = torch.full((settings.beam_size,), BOS)
        self.origin = torch.arange(settings.beam_size)
        self.prefixes: list[tuple[list[int], list[int]]] = [([], [])] * settings.beam_size
        self.found: list[tuple[float, Hypothesis]] = []

    def extend(self, logs: Tensor, attention: Tensor, final: bool) -> None:
        """Extend the hypotheses by the next token: log-probabilities ``(K, V)``, attention ``(K, S)``."""
        size, words, penalty = self.settings.beam_size, logs.shape[1], self.settings.length_penalty
        ranked, index = (self.scores[:, None] + logs).flatten().topk(2 * size)
        positions = attention.argmax(dim=1).tolist()
        live: list[tuple[float, int, int]] = []
        best = list(zip(ranked.tolist(), (index // words).tolist(), (index % words).tolist(), strict=True))
        prefixes = self.prefixes
        for number, (score, parent, word) in enumerate(best):
            if number < size and (word == EOS or final) and score > -torch.inf:
                tokens, attended = prefixes[parent]
                if word != EOS:
                    tokens, attended = [*tokens, word], [*attended, positions[parent]]
                compared = score / (len(prefixes[parent][0]) + 1) ** penalty
                self.found.append((compared, Hypothesis(tuple(tokens), tuple(attended), score)))
            if word != EOS and len(live) < size:
                live.append((score, parent, word))
        self.scores, self.last = torch.tensor([one[0] for one in live]), torch.tensor([one[2] for one in live])
        self.origin = torch.tensor([one[1] for one in live])
        self.prefixes = [
            ([*prefixes[parent][0], word], [*prefixes[parent][1], positions[parent]]) for _, parent, word in live
        ]
        reach = live[0][0] / self.settings.max_length**penalty
        overtaken = any(compared >= reach for compared, _ in self.found)
        self.done = final or best[0][2] == EOS or overtaken

    def result(self) -> Hypothesis:
        """Return the best hypothesis; the first of equals."""
        return max(self.found, key=lambda entry: entry[0])[1]


def beam(model: StepByStep, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Beam search with one ``Beam`` per sentence; the decoder runs for all of them until the last is finished."""
    size = settings.beam_size
    memory, (hidden, cell) = model.model.encode(source, lengths)
    memory = Memory(*(part.repeat_interleave(size, dim=0) for part in memory))
    state: State = [
        (h.repeat_interleave(size, dim=0), c.repeat_interleave(size, dim=0)) for h, c in zip(hidden, cell, strict=True)
    ]
    beams = [Beam(settings) for _ in source]
    for step in range(settings.max_length):
        output, state, weights = model.step(torch.cat([one.last for one in beams]), state, memory)
        logs = model.logs(output)
        for number, one in enumerate(beams):
            rows = slice(number * size, (number + 1) * size)
            if not one.done:
                one.extend(logs[rows], weights[rows], step + 1 == settings.max_length)
                for layer in state:
                    for part in layer:
                        part[rows] = part[rows][one.origin]
        if all(one.done for one in beams):
            break
    return [one.result() for one in beams]
