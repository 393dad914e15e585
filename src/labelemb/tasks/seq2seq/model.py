"""Encoder-decoder models. B sentences, S source tokens, T target tokens, K hypotheses, D hidden size, V words."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labelemb.errors import Choices, ConfigError
from labelemb.tasks.seq2seq.attention import GlobalAttention, QueryActivation
from labelemb.tasks.seq2seq.decoding import Decoding
from labelemb.tasks.seq2seq.recurrent import State, lstm_step, run_lstm
from labelemb.tasks.seq2seq.vocab import PAD, UNK

MAX_LAYERS = 256


class Memory(NamedTuple):
    """Output of an encoder.

    Attributes:
        states: Encoder states, `(B, S, D)`.
        mask: Boolean mask `(B, S)`, True at source tokens, False at padding.
    """

    states: Tensor
    mask: Tensor


@dataclass(frozen=True)
class VocabSizes:
    """Vocabulary sizes.

    Args:
        source: Number of source words.
        target: Number of target words.
        shared: Whether both sides share one vocabulary and one embedding layer.

    Raises:
        ConfigError: If ``shared`` is set and the sizes differ.
    """

    source: int
    target: int
    shared: bool = False

    def __post_init__(self) -> None:
        if self.shared and self.source != self.target:
            raise ConfigError("shared", "one vocabulary for both sides", f"{self.source} and {self.target} words")


@dataclass(frozen=True)
class ModelDims:
    """Dimensions of a model.

    Args:
        embedding_size: Size of the word embeddings.
        hidden_size: Hidden size D of encoder and decoder, and input size of the head.
        layers: Number of layers of the encoder and of the decoder.
        dropout: Dropout probability, in [0, 1); see the models for where it is applied.

    Raises:
        ConfigError: Naming every invalid value.
    """

    embedding_size: int = 512
    hidden_size: int = 512
    layers: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            choices.expect(self.layers <= MAX_LAYERS, "layers", f"at most {MAX_LAYERS}", self.layers)
            for name in ("embedding_size", "hidden_size", "layers"):
                choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
            choices.expect(0 <= self.dropout < 1, "dropout", "a number from 0 to below 1", self.dropout)


class EncoderDecoder(nn.Module, ABC):
    """Base class of the models; ``model(*batch.inputs)`` returns the hidden states that ``head`` classifies.

    Args:
        vocab_sizes: Vocabulary sizes.
        dims: Dimensions of the model.
    """

    head: nn.Linear

    def __init__(self, vocab_sizes: VocabSizes, dims: ModelDims) -> None:
        super().__init__()
        size = dims.embedding_size
        self.source_embedding = nn.Embedding(vocab_sizes.source, size, padding_idx=PAD)
        self.target_embedding = (
            self.source_embedding if vocab_sizes.shared else nn.Embedding(vocab_sizes.target, size, padding_idx=PAD)
        )
        self.dropout = nn.Dropout(dims.dropout)

    def forward(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden states before the head.

        Args:
            source: Padded source token ids, int64 `(B, S)`; B may be 0.
            lengths: Source tokens per sentence, int64 `(B,)`, at least 1; preferably on the CPU.
            target_input: Decoder input, int64 `(B, T)`, starting with BOS.

        Returns:
            Hidden states, `(B, T, D)`.
        """
        count = len(source)
        if not count:  # an empty shard: run a dummy sentence, since DDP waits for gradients from every process
            source, lengths = source.new_full((1, 1), UNK), lengths.new_ones(1)
            target_input = target_input.new_full((1, target_input.shape[1]), PAD)
        return self.hidden(source, lengths, target_input)[:count]

    @abstractmethod
    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Compute ``forward`` for B >= 1."""

    @abstractmethod
    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Start decoding; see ``Searchable.start``."""


class LSTMSeq2Seq(EncoderDecoder):
    """Encoder and decoder LSTMs with global attention. Source: arXiv 1710.10393, both language recipes.

    The encoder is unidirectional and its last state initializes the decoder. The attention output is not fed back to
    the decoder (no input feeding), so a whole target sequence is one call of the decoder LSTM.

    Args:
        vocab_sizes: Vocabulary sizes.
        dims: Dimensions; dropout is applied between LSTM layers and to the attention output.
        query_activation: See ``GlobalAttention``.

    Raises:
        ConfigError: If ``query_activation`` is unknown.
    """

    def __init__(self, vocab_sizes: VocabSizes, dims: ModelDims, query_activation: QueryActivation = "none") -> None:
        super().__init__(vocab_sizes, dims)
        shape = (dims.embedding_size, dims.hidden_size, dims.layers)
        dropout = dims.dropout if dims.layers > 1 else 0.0  # between layers; nn.LSTM warns if there is only one
        self.encoder = nn.LSTM(*shape, batch_first=True, dropout=dropout)
        self.decoder = nn.LSTM(*shape, batch_first=True, dropout=dropout)
        self.attention = GlobalAttention(dims.hidden_size, query_activation)
        self.head = nn.Linear(dims.hidden_size, vocab_sizes.target)

    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden states before the head, `(B, T, D)`."""
        memory, state = self.encode(source, lengths)
        states, _ = self.decoder(self.target_embedding(target_input), state)
        output, _ = self.attention(states, *memory)
        hidden: Tensor = self.dropout(output)
        return hidden

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """Encode the sources; padding does not affect the result.

        Args:
            source: Padded token ids, int64 `(B, S)`.
            lengths: Tokens per sentence, int64 `(B,)`, at least 1.

        Returns:
            The encoder output and the initial decoder state, `(layers, B, D)` each.
        """
        states, last = run_lstm(self.encoder, self.source_embedding(source), lengths.cpu())
        columns = torch.arange(source.shape[1], device=source.device)
        return Memory(states, columns < lengths.to(source.device)[:, None]), last

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Start decoding; see ``Searchable.start``."""
        memory, (hidden, cell) = self.encode(source, lengths)
        return _LSTMDecoding(self, memory, list(zip(hidden, cell, strict=True)))


class _LSTMDecoding:
    """Decoder LSTM with the state of B * K hypotheses.

    The state is kept per distinct hypothesis; ``parents`` `(B, K)` maps each hypothesis to its row of the state. The K
    hypotheses of a sentence share its encoder output.
    """

    def __init__(self, model: LSTMSeq2Seq, memory: Memory, state: list[State]) -> None:
        self.model, self.state = model, state
        self.memory = (*model.attention.precompute(memory.states), memory.mask)
        self.parents = torch.arange(len(memory.mask), device=memory.mask.device)[:, None]

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        output, self.state = lstm_step(
            model.decoder, model.target_embedding, last.flatten(), self.state, self.parents.flatten()
        )
        self.parents = torch.arange(last.numel(), device=last.device).view(last.shape)
        return model.attention.forward_precomputed(output.view(*last.shape, -1), *self.memory)

    def reorder(self, parents: Tensor) -> None:
        self.parents = self.parents.gather(1, parents)

    def keep(self, sentences: Tensor) -> None:
        rows = sentences.nonzero()[:, 0]  # index_select is faster on a CPU than a boolean index
        self.parents = self.parents[rows]
        keys, values, mask = (part.index_select(0, rows) for part in self.memory)
        self.memory = (keys, values, mask)
