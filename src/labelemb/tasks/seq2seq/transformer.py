"""Transformer encoder-decoder of ``torch.nn`` layers.

B sentences, S source tokens, T target tokens, K hypotheses of t tokens each, D hidden size, H heads of size d = D/H.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.decoding import Decoding
from labelemb.tasks.seq2seq.model import EncoderDecoder, Memory, ModelDims, VocabSizes


class TransformerSeq2Seq(EncoderDecoder):
    """Encoder and decoder of Vaswani et al. 2017, arXiv 1706.03762.

    Layers are pre-norm, so training needs no warm-up. Positions are sinusoidal, so the sentence length is unlimited.
    Unknown words are replaced by the attention of the last decoder layer, averaged over heads. Word embeddings of
    another size than D are projected to D.

    Args:
        vocab_sizes: Vocabulary sizes.
        dims: Dimensions; dropout is applied to embeddings, attention weights, inside the feed-forward blocks, and to
            the output of each block before the residual connection.
        heads: Number of attention heads H; must divide D.
        feedforward: Inner size of the feed-forward blocks. Default: 4 * D.

    Raises:
        ConfigError: If ``heads`` does not divide D.
    """

    def __init__(
        self, vocab_sizes: VocabSizes, dims: ModelDims, heads: int = 8, feedforward: int | None = None
    ) -> None:
        super().__init__(vocab_sizes, dims)
        embedding_size, hidden_size, layers = dims.embedding_size, dims.hidden_size, dims.layers
        check_heads(hidden_size, heads)
        same = embedding_size == hidden_size
        self.source_map, self.target_map = (
            nn.Identity() if same else nn.Linear(embedding_size, hidden_size) for _ in range(2)
        )
        shape = (hidden_size, heads, feedforward or 4 * hidden_size, dims.dropout)
        # nn.TransformerEncoder and nn.TransformerDecoder copy one layer, so all layers would start with equal weights.
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(*shape, batch_first=True, norm_first=True) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(*shape, batch_first=True, norm_first=True) for _ in range(layers)
        )
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.head = nn.Linear(hidden_size, vocab_sizes.target)

    def hidden(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Tensor:
        """Return the hidden states before the head, `(B, T, D)`."""
        memory, mask = self.encode(source, lengths)
        tokens = target_input.shape[1]
        hidden = self.embed_target(target_input, 0)
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=source.device).triu(1)
        for layer in self.decoder:
            hidden = layer(hidden, memory, tgt_mask=future, tgt_is_causal=True, memory_key_padding_mask=~mask)
        output: Tensor = self.decoder_norm(hidden)
        return output

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """Return the encoder output; padding is masked in all attention."""
        columns = torch.arange(source.shape[1], device=source.device)
        mask = columns < lengths.to(source.device)[:, None]
        hidden = self._add_positions(self.source_map(self.source_embedding(source)), 0)
        for layer in self.encoder:
            hidden = layer(hidden, src_key_padding_mask=~mask)
        return Memory(self.encoder_norm(hidden), mask)

    def embed_target(self, tokens: Tensor, start: int) -> Tensor:
        """Return the input of the decoder, `(B, T, D)`, for tokens `(B, T)` at positions ``start`` and following."""
        return self._add_positions(self.target_map(self.target_embedding(tokens)), start)

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Start decoding; see ``Searchable.start``."""
        return _TransformerDecoding(self, self.encode(source, lengths))

    def _add_positions(self, embeddings: Tensor, start: int) -> Tensor:
        output: Tensor = self.dropout(embeddings + positions(start, embeddings.shape[1], embeddings))
        return output


class _TransformerDecoding:
    """Step-by-step decoding with cached keys and values.

    Computes the decoder layers with their own weights, one token at a time.

    Attributes:
        source: Keys and values of the source for each layer, `(B, H, S, d)` each.
        past: Keys and values of the tokens so far for each layer, `(B, K, H, t, d)` each.
        mask: Boolean mask of the source tokens, `(B, 1, 1, S)`.
        length: Number of tokens so far, t.
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
            empty = keys.new_zeros(len(keys), 1, keys.shape[1], 0, keys.shape[3])
            self.past.append((empty, empty))

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        # Hidden states are (B, K, D): the K hypotheses replace the sequence axis, all at the same position.
        hidden = self.model.embed_target(last.flatten()[:, None], self.length).view(*last.shape, -1)
        for number, layer in enumerate(self.layers):
            attention, normed = layer.self_attn, layer.norm1(hidden)
            query, *new = (_projected(attention, part, normed).unsqueeze(3) for part in range(3))  # (B, K, H, 1, d)
            keys, values = (torch.cat(pair, dim=3) for pair in zip(self.past[number], new, strict=True))
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
    """Raise ConfigError unless ``heads`` divides ``hidden_size``."""
    if heads < 1 or hidden_size % heads:
        raise ConfigError("heads", f"a divisor of hidden_size ({hidden_size})", heads)


def positions(start: int, count: int, like: Tensor) -> Tensor:
    """Return sinusoidal position encodings: sin and cos of position / 10000 ** (2 i / D) for i < D / 2, interleaved.

    Args:
        start: First position.
        count: Number of positions.
        like: Tensor with the size D of the last axis, dtype and device of the result.

    Returns:
        Encodings, `(count, D)`.
    """
    size = like.shape[-1]
    position = torch.arange(start, start + count, device=like.device)[:, None]
    angles = position * torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(10_000) / size))  # float32
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :size].to(like.dtype)


def _projected(attention: nn.MultiheadAttention, part: int, inputs: Tensor) -> Tensor:
    """Return the queries (part 0), keys (1) or values (2), `(B, n, H, d)`, of inputs `(B, n, D)`."""
    weight, bias = attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    return F.linear(inputs, weight, bias).view(*inputs.shape[:2], attention.num_heads, -1)


def _weights(queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the attention weights softmax(queries . keys / sqrt(d)) over the keys where ``mask`` is True."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(keys.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)
