"""A Transformer encoder-decoder of torch's own layers.

B sentences, S source tokens, T target tokens, K beginnings, t tokens so far, D hidden size, H heads of d = D / H.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.decoding import Decoding
from labelemb.tasks.seq2seq.model import EncoderDecoder, Memory, ModelDims, VocabSizes


class TransformerSeq2Seq(EncoderDecoder):
    """Encoder and decoder of Vaswani et al. 2017 (arXiv 1706.03762), under the same interface as the LSTM.

    Layers are pre-norm, so that training needs no warm-up; positions are sines and cosines, so that no sentence is too
    long. An unknown word is replaced by the source word that has the most attention in the last
    layer, mean of the heads. Embeddings of another size than D go through a linear map.

    sizes        dropout is on embeddings, attention, inside the feed-forward blocks, and on what each block adds
    heads        H, a divisor of D
    feedforward  size inside the feed-forward blocks; None: 4 D

    Raises ConfigError.
    """

    def __init__(self, words: VocabSizes, sizes: ModelDims, heads: int = 8, feedforward: int | None = None) -> None:
        super().__init__(words, sizes)
        embedding_size, hidden_size, layers = sizes.embedding_size, sizes.hidden_size, sizes.layers
        check_heads(hidden_size, heads)
        same = embedding_size == hidden_size
        self.source_map, self.target_map = (
            nn.Identity() if same else nn.Linear(embedding_size, hidden_size) for _ in range(2)
        )
        shape = (hidden_size, heads, feedforward or 4 * hidden_size, sizes.dropout)
        # Each layer is made by itself: torch's stacks copy one, so that all would start with the same weights.
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(*shape, batch_first=True, norm_first=True) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(*shape, batch_first=True, norm_first=True) for _ in range(layers)
        )
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.head = nn.Linear(hidden_size, words.target)

    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden state in front of ``head``, (B, T, D)."""
        memory, mask = self.encode(source, lengths)
        tokens = target_input.shape[1]
        hidden = self.read_target(target_input, 0)
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=source.device).triu(1)
        for layer in self.decoder:
            hidden = layer(hidden, memory, tgt_mask=later, tgt_is_causal=True, memory_key_padding_mask=~mask)
        normed: Tensor = self.decoder_norm(hidden)
        return normed

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """Return the memory; padding is seen by none of its real positions."""
        columns = torch.arange(source.shape[1], device=source.device)
        mask = columns < lengths.to(source.device)[:, None]
        hidden = self._placed(self.source_map(self.source_embedding(source)), 0)
        for layer in self.encoder:
            hidden = layer(hidden, src_key_padding_mask=~mask)
        return Memory(self.encoder_norm(hidden), mask)

    def read_target(self, tokens: Tensor, start: int) -> Tensor:
        """Return what the first layer of the decoder reads, (B, T, D), of tokens (B, T) from place ``start`` on."""
        return self._placed(self.target_map(self.target_embedding(tokens)), start)

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Read the sources for a search; see ``Searchable``."""
        return _TransformerDecoding(self, self.encode(source, lengths))

    def _placed(self, words: Tensor, start: int) -> Tensor:
        placed: Tensor = self.dropout(words + positions(start, words.shape[1], words))
        return placed


class _TransformerDecoding:
    """Keys and values of each decoder layer: of the source (B, H, S, d), and of the output so far (B, K, H, t, d).

    The same sums as the layers', on their own weights; a token's keys and values are computed once.
    """

    def __init__(self, model: TransformerSeq2Seq, memory: Memory) -> None:
        self.model, self.mask, self.length = model, memory.mask[:, None, None, :], 0
        self.layers: list[nn.TransformerDecoderLayer] = list(model.decoder)  # type: ignore[arg-type]
        self.source: list[tuple[Tensor, Tensor]] = []
        self.past: list[tuple[Tensor, Tensor]] = []
        for layer in self.layers:
            attention = layer.multihead_attn
            keys, values = (_projected(attention, part, memory.states).transpose(1, 2) for part in (1, 2))
            self.source.append((keys, values))
            nothing = keys.new_zeros(len(keys), 1, keys.shape[1], 0, keys.shape[3])
            self.past.append((nothing, nothing))

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        # The K beginnings stand where a sentence's tokens stand otherwise; they are all at the same place.
        hidden = self.model.read_target(last.flatten()[:, None], self.length).view(*last.shape, -1)
        for number, layer in enumerate(self.layers):
            attention, normed = layer.self_attn, layer.norm1(hidden)
            query, *new = (_projected(attention, part, normed).unsqueeze(3) for part in range(3))  # (B, K, H, 1, d)
            keys, values = (torch.cat(both, dim=3) for both in zip(self.past[number], new, strict=True))
            self.past[number] = (keys, values)
            context = _weights(query, keys) @ values
            hidden = hidden + attention.out_proj(context.flatten(2))
            attention = layer.multihead_attn
            query = _projected(attention, 0, layer.norm2(hidden)).transpose(1, 2)  # (B, H, K, d)
            keys, values = self.source[number]
            weights = _weights(query, keys, self.mask)  # (B, H, K, S)
            hidden = hidden + attention.out_proj((weights @ values).transpose(1, 2).flatten(2))
            hidden = hidden + layer.linear2(layer.activation(layer.linear1(layer.norm3(hidden))))
        self.length += 1
        return self.model.decoder_norm(hidden), weights.mean(dim=1)

    def reorder(self, parents: Tensor) -> None:
        sentences = torch.arange(len(parents), device=parents.device)[:, None]
        self.past = [(keys[sentences, parents], values[sentences, parents]) for keys, values in self.past]

    def keep(self, sentences: Tensor) -> None:
        self.mask = self.mask[sentences]
        self.source, self.past = (
            [(keys[sentences], values[sentences]) for keys, values in pairs] for pairs in (self.source, self.past)
        )


def check_heads(hidden_size: int, heads: int) -> None:
    """Raise ConfigError unless heads divide the hidden size."""
    if heads < 1 or hidden_size % heads:
        raise ConfigError("heads", f"a divisor of hidden_size ({hidden_size})", heads)


def positions(start: int, count: int, like: Tensor) -> Tensor:
    """Return the code (count, D) of positions from ``start`` on: sin and cos of place / 10000 ** (2 i / D), i < D / 2.

    like: a tensor whose last axis, dtype and device the code takes
    """
    size = like.shape[-1]
    place = torch.arange(start, start + count, device=like.device)[:, None]
    angles = place * torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(10_000) / size))  # float32
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :size].to(like.dtype)


def _projected(attention: nn.MultiheadAttention, part: int, inputs: Tensor) -> Tensor:
    """Return the queries (part 0), keys (1) or values (2) of inputs (B, n, D), as (B, n, H, d)."""
    weight, bias = attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    return F.linear(inputs, weight, bias).view(*inputs.shape[:2], attention.num_heads, -1)


def _weights(queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(queries . keys / sqrt(d)) over the keys that the mask admits."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(keys.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)
