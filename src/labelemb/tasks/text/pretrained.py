"""Pretrained encoders of transformers, loaded without executing anything from their folder."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError
from labelemb.tasks.classification.pretrained import build_from_config, load_pretrained

Pooling = Literal["mean", "cls", "pooler"]
SHORT = 128  # tokens up to which plain attention is used on a CPU


class PretrainedTokenizer:
    """A fast tokenizer of transformers.

    Args:
        source: Folder or hub id.

    Raises:
        DataError: If there is none that fits.
    """

    def __init__(self, source: str) -> None:
        self.tokenizer: Any = load_pretrained("AutoTokenizer", source, "a tokenizer", use_fast=True)
        if not getattr(self.tokenizer, "is_fast", False):
            raise DataError(source, "a fast tokenizer (tokenizer.json)", type(self.tokenizer).__name__)
        self.pad_id = self.tokenizer.pad_token_id or 0
        self.identity = self.tokenizer.backend_tokenizer.to_str()

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, texts: Sequence[str], max_length: int) -> tuple[list[list[int]], int]:
        """Return the token ids of each text, special tokens included, and the number of texts that were truncated."""
        found = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_overflowing_tokens=True,
        )
        rows, seen, truncated = [], set[int](), set[int]()
        for ids, text in zip(found["input_ids"], found["overflow_to_sample_mapping"], strict=True):
            if text in seen:
                truncated.add(text)
            else:
                seen.add(text)
                rows.append(ids)
        return rows, len(truncated)


class PretrainedEncoder(nn.Module):
    """An encoder of transformers with pooling over its tokens.

    Args:
        encoder: A model of ``AutoModel``.
        pooling: ``mean`` over the tokens, ``cls`` (first token) or ``pooler`` (the model's own).

    Raises:
        ConfigError: If the model has no pooler, or no ``hidden_size``.
    """

    def __init__(self, encoder: Any, pooling: Pooling) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.pooling = pooling
        size = getattr(encoder.config, "hidden_size", None)
        if not isinstance(size, int):
            raise ConfigError("model", "an encoder with a hidden size", type(encoder).__name__)
        self.hidden_size = size
        if pooling == "pooler" and getattr(encoder, "pooler", None) is None:
            raise ConfigError("pooling", f"mean or cls: {type(encoder).__name__} has no pooler", repr(pooling))
        if pooling != "pooler" and isinstance(getattr(encoder, "pooler", None), nn.Module):
            encoder.pooler = None  # its parameters would never get a gradient

    @classmethod
    def load(cls, source: str, pooling: Pooling, max_length: int) -> Self:
        """Load configuration and weights from a folder or the hub.

        Raises:
            DataError: If they cannot be loaded.
        """
        options = {"use_safetensors": True, **attention(max_length)}
        encoder = load_pretrained("AutoModel", source, "a pretrained model with safetensors weights", **options)
        return cls(encoder.float(), pooling)

    @classmethod
    def from_config(cls, folder: str, pooling: Pooling, max_length: int) -> Self:
        """Build the encoder of a saved configuration with random weights.

        Raises:
            DataError: If the configuration cannot be read or used.
        """
        return cls(build_from_config("AutoModel", folder, **attention(max_length)), pooling)

    def freeze(self, layers: int) -> None:
        """Exclude the embeddings and the lowest ``layers`` layers from training.

        Raises:
            ConfigError: If the encoder has fewer layers, or they cannot be found.
        """
        found = encoder_layers(self.encoder)
        if layers > len(found):
            raise ConfigError("frozen_layers", f"0 to {len(found)}, the layers of the encoder", layers)
        embeddings = getattr(self.encoder, "embeddings", None)
        for module in [*([embeddings] if isinstance(embeddings, nn.Module) else []), *found[:layers]]:
            module.requires_grad_(False)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass.

        Raises:
            ConfigError: If the encoder does not support it.
        """
        enable = getattr(self.encoder, "activation_checkpointing_enable", None)  # transformers 5.24 and later
        enable = enable or getattr(self.encoder, "gradient_checkpointing_enable", None)
        try:
            if enable is None:
                raise ValueError(type(self.encoder).__name__)
            enable({"use_reentrant": False})
        except ValueError as error:
            raise ConfigError("gradient_checkpointing", "an encoder that supports it", error) from error

    def check_tokenizer(self, tokenizer: PretrainedTokenizer, max_length: int) -> None:
        """Check that the tokenizer's ids and the longest text fit the encoder.

        Raises:
            DataError: If the tokenizer has more tokens than the encoder has embeddings.
            ConfigError: If the encoder has fewer positions than ``max_length``.
        """
        rows = self.encoder.get_input_embeddings().num_embeddings
        if len(tokenizer) > rows:
            raise DataError("model", f"a tokenizer with at most {rows} tokens, as the encoder has", len(tokenizer))
        positions = getattr(self.encoder.config, "max_position_embeddings", None)
        if isinstance(positions, int) and max_length > positions:
            raise ConfigError("max_length", f"at most {positions}, the positions of the encoder", max_length)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the pooled state ``(N, D)`` of token ids ``(N, T)``; mask is 1 where a token is."""
        output = self.encoder(input_ids=ids, attention_mask=mask)
        if self.pooling == "pooler":
            pooled: Tensor = output.pooler_output
            return pooled
        states: Tensor = output.last_hidden_state  # (N, T, D)
        if self.pooling == "cls":
            return states[:, 0]
        weights = mask.to(states.dtype)[:, :, None]
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def attention(max_length: int) -> dict[str, str]:
    """Return the change of the configuration that selects the attention for texts of up to ``max_length`` tokens.

    On a CPU, PyTorch's fused attention takes several times as long as plain products for short texts in bfloat16.
    """
    return {} if torch.accelerator.is_available() or max_length > SHORT else {"attn_implementation": "eager"}


def encoder_layers(encoder: nn.Module) -> list[nn.Module]:
    """Return the layers of an encoder: its largest list of modules of one class; empty if there is none."""
    lists = [list(module) for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module)]
    uniform = [layers for layers in lists if len({type(layer) for layer in layers}) == 1]
    return max(uniform, key=lambda layers: len(layers), default=[])
