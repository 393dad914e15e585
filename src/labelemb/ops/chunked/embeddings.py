"""Label embeddings inside a chunk: rows of logits out, gradients accumulated.

u distinct labels of a chunk, V labels, R rank.
"""

from typing import Protocol

import torch
from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.ops.chunked.layers import ChunkLinear, gradient_buffer
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding


class ChunkEmbedding(Protocol):
    """A label embedding inside a chunk.

    Attributes:
        tensors: Its parameters.
        dtype: Dtype of the logits that it writes.
        rectified: Whether the logits came out of a relu.
        bias: A bias that they contain, in the dtype of sums, ``(V,)``, or None.
    """

    tensors: list[Tensor]
    dtype: torch.dtype
    rectified: bool
    bias: Tensor | None

    @property
    def trains(self) -> bool:
        """Whether there is a gradient to accumulate."""

    def logits(self, labels: Tensor, out: Tensor, finish: bool = True) -> Tensor:
        """Write the rows of the labels ``(u,)`` into ``out``, ``(u, V)``, and return it.

        finish: False where the row kernels add the bias and rectify.
        """

    def add_weight_gradient(self, de: Tensor, labels: Tensor) -> None:
        """Accumulate the gradients of all parameters but a bias from de, ``(u, V)``."""

    @property
    def trains_bias(self) -> bool:
        """Whether there is the gradient of a bias to accumulate."""

    def add_bias_gradient(self, sums: Tensor) -> None:
        """Accumulate the gradient of a bias, where there is one, from column sums of de, shape ``(V,)``."""

    def gradients(self) -> list[Tensor | None]:
        """Return the accumulated gradients of ``tensors``; the first has a row per label, 0 for labels not added."""


class ChunkDense:
    """Rows of E, looked up."""

    rectified = False
    bias: Tensor | None = None
    trains_bias = False

    def __init__(self, embedding: DenseLabelEmbedding, dtype: torch.dtype, trains: bool) -> None:
        weight = embedding.weight
        self.tensors: list[Tensor] = [weight]
        self._weight, self.dtype = weight.detach(), weight.dtype
        gradient = gradient_buffer(weight, dtype, trains)
        self._gradient = None if gradient is None else gradient.zero_()

    @property
    def trains(self) -> bool:
        """See ChunkEmbedding."""
        return self._gradient is not None

    def logits(self, labels: Tensor, out: Tensor, finish: bool = True) -> Tensor:
        """See ChunkEmbedding."""
        return torch.index_select(self._weight, 0, labels, out=out)

    def add_weight_gradient(self, de: Tensor, labels: Tensor) -> None:
        """See ChunkEmbedding."""
        if self._gradient is not None:
            self._gradient.index_add_(0, labels, de.to(self._gradient.dtype))

    def add_bias_gradient(self, sums: Tensor) -> None:
        """See ChunkEmbedding."""

    def gradients(self) -> list[Tensor | None]:
        """See ChunkEmbedding."""
        return [self._gradient]


class ChunkCompressed:
    """e = relu(decoder(codes)); ``de`` has the zeros of the relu already (``rectified``)."""

    rectified = True

    def __init__(self, embedding: CompressedLabelEmbedding, dtype: torch.dtype, trains: bool) -> None:
        codes = embedding.codes.weight
        self._codes, self.dtype = codes.detach(), dtype
        self._decoder = ChunkLinear("embedding.decoder", embedding.decoder, dtype, trains)
        self.tensors = [codes, *self._decoder.tensors]
        self.bias: Tensor | None = self._decoder.bias
        gradient = gradient_buffer(codes, dtype, trains)
        self._gradient = None if gradient is None else gradient.zero_()

    @property
    def trains(self) -> bool:
        """See ChunkEmbedding."""
        return self._gradient is not None or self._decoder.trains

    def logits(self, labels: Tensor, out: Tensor, finish: bool = True) -> Tensor:
        """See ChunkEmbedding."""
        logits = self._decoder.logits(self._codes[labels].to(self.dtype), out, add_bias=finish)
        return logits.relu_() if finish else logits

    def add_weight_gradient(self, de: Tensor, labels: Tensor) -> None:
        """See ChunkEmbedding."""
        self._decoder.add_weight_gradient(de, self._codes[labels].to(self.dtype))
        if self._gradient is not None:
            self._gradient.index_add_(0, labels, self._decoder.input_gradient(de).to(self._gradient.dtype))

    @property
    def trains_bias(self) -> bool:
        """See ChunkEmbedding."""
        return self._decoder.trains_bias

    def add_bias_gradient(self, sums: Tensor) -> None:
        """See ChunkEmbedding."""
        self._decoder.add_bias_gradient(sums)

    def gradients(self) -> list[Tensor | None]:
        """See ChunkEmbedding."""
        return [self._gradient, *self._decoder.gradients()]


def chunk_embedding(embedding: LabelEmbedding, dtype: torch.dtype, trains: bool) -> ChunkEmbedding:
    """Return the chunked form of a label embedding.

    Args:
        embedding: Dense or compressed.
        dtype: Dtype of the matrix products.
        trains: Whether gradients are wanted at all.

    Raises:
        ConfigError: For a kind of embedding that has no chunked form.
    """
    rows = type(embedding).rows  # a subclass with rows of its own has another gradient
    if isinstance(embedding, DenseLabelEmbedding) and rows is DenseLabelEmbedding.rows:
        return ChunkDense(embedding, dtype, trains)
    if isinstance(embedding, CompressedLabelEmbedding) and rows is CompressedLabelEmbedding.rows:
        return ChunkCompressed(embedding, dtype, trains)
    raise ConfigError(
        "embedding",
        "DenseLabelEmbedding or CompressedLabelEmbedding",
        type(embedding).__name__,
        hint="Use impl='eager' for others",
    )
