"""The linear layers and label embeddings of a loss as a chunk sees them: logits out, gradients accumulated.

n rows or distinct labels of a chunk, V labels, D (or R) inputs of a layer.
"""

from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding

CPU_PRODUCT_BLOCK = 1024  # labels per low-precision product: (1024, D) bf16 stays in the caches until it is added


class ChunkLinear:
    """z = x W^T + b chunk by chunk. Products in ``dtype``; weight gradients accumulate in fp32, or fp64 with fp64.

    tensors     its weight (V, D) and bias (V,), or the weight alone
    dtype       of the products; num_labels: V
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, trains: bool) -> None:
        """trains: gradients are wanted at all (of those parameters that require them).

        Raises ConfigError for a layer that computes something else than its weight and bias say.
        """
        if type(layer).forward is not nn.Linear.forward:
            raise ConfigError(
                "layers of the loss",
                "nn.Linear with its own forward",
                type(layer).__name__,
                hint="impl='eager' calls any",
            )
        self.dtype, self.num_labels = dtype, layer.weight.shape[0]
        self.tensors: list[Tensor] = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
        weight, *bias = (tensor.detach().to(dtype) for tensor in self.tensors)
        self._weight, self._bias = weight, bias[0] if bias else None  # (V, D), (V,)
        self._weight_gradient, *bias_gradient = (_room(tensor, dtype, trains) for tensor in self.tensors)
        self._bias_gradient = bias_gradient[0].zero_() if bias_gradient and bias_gradient[0] is not None else None
        self._fresh = True

    @property
    def trains(self) -> bool:
        """Whether ``add`` has anything to accumulate."""
        return self._weight_gradient is not None or self._bias_gradient is not None

    def logits(self, x: Tensor, out: Tensor) -> Tensor:
        """X (n, D) -> x W^T + b in out, (n, V)."""
        if self._bias is None:
            return torch.mm(x, self._weight.t(), out=out)
        return torch.addmm(self._bias, x, self._weight.t(), out=out)

    def input_gradient(self, dz: Tensor) -> Tensor:
        """Dz (n, V) -> dz W, (n, D)."""
        return dz @ self._weight

    def add(self, dz: Tensor, x: Tensor) -> None:
        """Accumulate dz^T x, the weight's gradient. The first chunk writes, so that nothing is zeroed before."""
        if self._weight_gradient is not None:
            add_product(self._weight_gradient, dz.t(), x, keep=not self._fresh)
            self._fresh = False

    def add_sums(self, dz: Tensor) -> None:
        """Accumulate the column sums of some rows of dz, the bias's gradient: while they are wide and in the caches."""
        if self._bias_gradient is not None:
            self._bias_gradient.add_(dz.sum(0, dtype=self._bias_gradient.dtype))

    def gradients(self) -> list[Tensor | None]:
        """Return the accumulated gradients of ``tensors``; zero when nothing was added."""
        if self._weight_gradient is not None and self._fresh:
            self._weight_gradient.zero_()
        return [self._weight_gradient, self._bias_gradient][: len(self.tensors)]


def add_product(total: Tensor, a: Tensor, b: Tensor, keep: bool) -> None:
    """Total = (total if keep else 0) + a b, accumulated in the dtype of total even where a and b are narrower.

    total (V, D), a (V, n), b (n, D)
    """
    if a.dtype == total.dtype:
        total.addmm_(a, b, beta=1 if keep else 0)
    elif _multiplies_into_float32(a.device, a.dtype):
        torch.addmm(total, a, b, beta=1 if keep else 0, out_dtype=torch.float32, out=total)
    else:
        block = CPU_PRODUCT_BLOCK if total.device.type == "cpu" else len(total)
        product = b.new_empty(min(block, len(total)), b.shape[1])
        for start in range(0, len(total), block):
            rows = total[start : start + block]
            torch.mm(a[start : start + block], b, out=product[: len(rows)])
            rows.add_(product[: len(rows)]) if keep else rows.copy_(product[: len(rows)])


def _room(parameter: Tensor, dtype: torch.dtype, trains: bool) -> Tensor | None:
    """Return memory for a parameter's gradient, in the dtype of sums, or None when it gets none."""
    if not (trains and parameter.requires_grad):
        return None
    return torch.empty(parameter.shape, dtype=torch.promote_types(dtype, torch.float32), device=parameter.device)


@cache
def _multiplies_into_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch can add a low-precision product to an fp32 matrix without rounding it in between."""
    a, total = torch.zeros(16, 16, dtype=dtype, device=device), torch.zeros(16, 16, device=device)
    try:
        torch.addmm(total, a, a, out_dtype=torch.float32, out=total)
    except (RuntimeError, TypeError):  # no such product here, or no such argument
        return False
    return True


class ChunkEmbedding(Protocol):
    """A label embedding as a chunk sees it.

    tensors    its parameters
    dtype      of the logits that it writes
    rectified  whether the logits came out of a relu
    """

    tensors: list[Tensor]
    dtype: torch.dtype
    rectified: bool

    @property
    def trains(self) -> bool:
        """Whether ``add`` has anything to accumulate."""

    def logits(self, labels: Tensor, out: Tensor) -> Tensor:
        """Labels (u,) -> e in out, (u, V)."""

    def add(self, de: Tensor, labels: Tensor) -> None:
        """Accumulate what de (u, V) means for the parameters, but for a bias."""

    def add_sums(self, de: Tensor) -> None:
        """Accumulate what some rows of de mean for a bias, where there is one."""

    def gradients(self) -> list[Tensor | None]:
        """Return the accumulated gradients of ``tensors``; the first has rows by label, 0 but for those added."""


class ChunkDense:
    """Rows of E as they are."""

    rectified = False

    def __init__(self, embedding: DenseLabelEmbedding, dtype: torch.dtype, trains: bool) -> None:
        weight = embedding.weight
        self.tensors: list[Tensor] = [weight]
        self._weight, self.dtype = weight.detach(), weight.dtype
        gradient = _room(weight, dtype, trains)
        self._gradient = None if gradient is None else gradient.zero_()

    @property
    def trains(self) -> bool:
        """See ChunkEmbedding."""
        return self._gradient is not None

    def logits(self, labels: Tensor, out: Tensor) -> Tensor:
        """See ChunkEmbedding."""
        return torch.index_select(self._weight, 0, labels, out=out)

    def add(self, de: Tensor, labels: Tensor) -> None:
        """See ChunkEmbedding."""
        if self._gradient is not None:
            self._gradient.index_add_(0, labels, de.to(self._gradient.dtype))

    def add_sums(self, de: Tensor) -> None:
        """See ChunkEmbedding."""

    def gradients(self) -> list[Tensor | None]:
        """See ChunkEmbedding."""
        return [self._gradient]


class ChunkCompressed:
    """e = relu(decoder(codes)); ``de`` comes with the relu's zeros already in it (``rectified``)."""

    rectified = True

    def __init__(self, embedding: CompressedLabelEmbedding, dtype: torch.dtype, trains: bool) -> None:
        codes = embedding.codes.weight
        self._codes, self.dtype = codes.detach(), dtype
        self._decoder = ChunkLinear(embedding.decoder, dtype, trains)
        self.tensors = [codes, *self._decoder.tensors]
        gradient = _room(codes, dtype, trains)
        self._gradient = None if gradient is None else gradient.zero_()

    @property
    def trains(self) -> bool:
        """See ChunkEmbedding."""
        return self._gradient is not None or self._decoder.trains

    def logits(self, labels: Tensor, out: Tensor) -> Tensor:
        """See ChunkEmbedding."""
        return self._decoder.logits(self._codes[labels].to(self.dtype), out).relu_()

    def add(self, de: Tensor, labels: Tensor) -> None:
        """See ChunkEmbedding."""
        self._decoder.add(de, self._codes[labels].to(self.dtype))
        if self._gradient is not None:
            self._gradient.index_add_(0, labels, self._decoder.input_gradient(de).to(self._gradient.dtype))

    def add_sums(self, de: Tensor) -> None:
        """See ChunkEmbedding."""
        self._decoder.add_sums(de)

    def gradients(self) -> list[Tensor | None]:
        """See ChunkEmbedding."""
        return [self._gradient, *self._decoder.gradients()]


def chunk_embedding(embedding: LabelEmbedding, dtype: torch.dtype, trains: bool) -> ChunkEmbedding:
    """Return the embedding as a chunk sees it.

    dtype: of the matrix products; trains: gradients are wanted at all.
    Raises ConfigError for a kind of embedding that has no chunk form.
    """
    rows = type(embedding).rows  # a subclass that computes its rows in another way has another gradient
    if isinstance(embedding, DenseLabelEmbedding) and rows is DenseLabelEmbedding.rows:
        return ChunkDense(embedding, dtype, trains)
    if isinstance(embedding, CompressedLabelEmbedding) and rows is CompressedLabelEmbedding.rows:
        return ChunkCompressed(embedding, dtype, trains)
    raise ConfigError(
        "embedding",
        "DenseLabelEmbedding or CompressedLabelEmbedding",
        type(embedding).__name__,
        hint="Other embeddings work with impl='eager'",
    )
