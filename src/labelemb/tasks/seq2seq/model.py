"""Encoder-decoders. B sentences, S source tokens, T target tokens, K beginnings, D hidden size, V words."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labelemb.errors import Choices, ConfigError
from labelemb.tasks.seq2seq.attention import GlobalAttention, QueryActivation
from labelemb.tasks.seq2seq.decoding import Decoding
from labelemb.tasks.seq2seq.recurrent import State, run_ragged, run_step
from labelemb.tasks.seq2seq.vocab import PAD, UNK

MOST_LAYERS = 256


class Memory(NamedTuple):
    """What an encoder leaves: its states (B, S, D), and mask (B, S) bool, True where a source token is."""

    states: Tensor
    mask: Tensor


@dataclass(frozen=True)
class VocabSizes:
    """How many words each side has; ``shared``: they are the same, and have one embedding.

    Raises ConfigError.
    """

    source: int
    target: int
    shared: bool = False

    def __post_init__(self) -> None:
        if self.shared and self.source != self.target:
            got = f"{self.source} and {self.target} words"
            raise ConfigError("shared", "one vocabulary for both sides", got)


@dataclass(frozen=True)
class ModelDims:
    """How large a model is, whatever its kind.

    embedding_size  of the words
    hidden_size     D, of encoder, decoder and the state in front of the head
    layers          of encoder, and of decoder
    dropout         0 to below 1; where, the model says

    Raises ConfigError that names every choice that cannot be.
    """

    embedding_size: int = 512
    hidden_size: int = 512
    layers: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            choices.expect(self.layers <= MOST_LAYERS, "layers", f"at most {MOST_LAYERS}", self.layers)
            for name in ("embedding_size", "hidden_size", "layers"):
                choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
            choices.expect(0 <= self.dropout < 1, "dropout", "a number from 0 to below 1", self.dropout)


class EncoderDecoder(nn.Module, ABC):
    """What the models have in common: ``model(*batch.inputs)`` returns the hidden state in front of ``head``."""

    head: nn.Linear

    def __init__(self, words: VocabSizes, sizes: ModelDims) -> None:
        """Make what each of them has: the embeddings of the words, the dropout."""
        super().__init__()
        size = sizes.embedding_size
        self.source_embedding = nn.Embedding(words.source, size, padding_idx=PAD)
        self.target_embedding = (
            self.source_embedding if words.shared else nn.Embedding(words.target, size, padding_idx=PAD)
        )
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden state in front of ``head``, (B, T, D).

        source        (B, S) int64, padded
        lengths       (B,) int64, source tokens of each sentence, >= 1; best on the CPU
        target_input  (B, T) int64: the begin token, then the target
        """
        count = len(source)
        if not count:  # a share of a small batch; one sentence stands in, since data parallelism waits for gradients
            source, lengths = source.new_full((1, 1), UNK), lengths.new_ones(1)
            target_input = target_input.new_full((1, target_input.shape[1]), PAD)
        return self.hidden(source, lengths, target_input)[:count]

    @abstractmethod
    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return what ``forward`` does, for at least one sentence."""

    @abstractmethod
    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Read the sources for a search; see ``Searchable``."""


class LSTMSeq2Seq(EncoderDecoder):
    """Encoder and decoder LSTMs with global attention. Source: arXiv 1710.10393, both language recipes.

    The encoder reads left to right and its last state starts the decoder. No state depends on what attention gives (no
    input feeding), so a whole target sequence is one call of the decoder LSTM.

    sizes             dropout is between the layers and on what attention gives
    query_activation  see ``GlobalAttention``

    Raises ConfigError.
    """

    def __init__(self, words: VocabSizes, sizes: ModelDims, query_activation: QueryActivation = "none") -> None:
        super().__init__(words, sizes)
        shape = (sizes.embedding_size, sizes.hidden_size, sizes.layers)
        between = sizes.dropout if sizes.layers > 1 else 0.0
        self.encoder = nn.LSTM(*shape, batch_first=True, dropout=between)
        self.decoder = nn.LSTM(*shape, batch_first=True, dropout=between)
        self.attention = GlobalAttention(sizes.hidden_size, query_activation)
        self.head = nn.Linear(sizes.hidden_size, words.target)

    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden state in front of ``head``, (B, T, D)."""
        memory, state = self.encode(source, lengths)
        states, _ = self.decoder(self.target_embedding(target_input), state)
        output, _ = self.attention(states, *memory)
        hidden: Tensor = self.dropout(output)
        return hidden

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """Return the memory and the state that the decoder starts from; padding has no part in either."""
        states, last = run_ragged(self.encoder, self.source_embedding(source), lengths.cpu())
        columns = torch.arange(source.shape[1], device=source.device)
        return Memory(states, columns < lengths.to(source.device)[:, None]), last

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Read the sources for a search; see ``Searchable``."""
        memory, (hidden, cell) = self.encode(source, lengths)
        return _LSTMDecoding(self, memory, list(zip(hidden, cell, strict=True)))


class _LSTMDecoding:
    """State of the decoder LSTM, per layer hidden and cell, and who goes on from which of its rows (B, K).

    One memory per sentence serves all K.
    """

    def __init__(self, model: LSTMSeq2Seq, memory: Memory, state: list[State]) -> None:
        self.model, self.state = model, state
        self.memory = (*model.attention.remember(memory.states), memory.mask)
        self.origin = torch.arange(len(memory.mask), device=memory.mask.device)[:, None]

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        output, self.state = run_step(
            model.decoder, model.target_embedding, last.flatten(), self.state, self.origin.flatten()
        )
        self.origin = torch.arange(last.numel(), device=last.device).view(last.shape)
        return model.attention.look(output.view(*last.shape, -1), *self.memory)

    def reorder(self, parents: Tensor) -> None:
        self.origin = self.origin.gather(1, parents)

    def keep(self, sentences: Tensor) -> None:
        self.origin = self.origin[sentences]
        keys, values, mask = self.memory
        self.memory = (keys[sentences], values[sentences], mask[sentences])
