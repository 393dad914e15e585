"""Linear layers inside a chunk: logits out, gradients accumulated.

n rows or distinct labels of a chunk, V labels, D (or R) inputs of a layer.
"""

from functools import cache

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.ops.backends import is_plain_linear
from labelemb.ops.chunked.native_kernels import add_rows
from labelemb.ops.parts import cut_evenly, in_parts
from labelemb.terms.shard import is_dtensor

SPARSE = 4  # copying more than a fourth of the columns costs as much time as it saves, and memory
CPU_PRODUCT_BLOCK = 1024  # labels per low-precision product: (1024, D) bf16 stays in the caches until it is added


class ChunkLinear:
    """z = x W^T + b chunk by chunk. Weight gradients accumulate in fp32, or in fp64 with fp64.

    Attributes:
        tensors: The weight ``(V, D)`` and the bias ``(V,)``, or the weight alone.
        num_labels: V.
        bias: The bias in the dtype of sums, ``(V,)``, or None.
    """

    def __init__(self, name: str, layer: nn.Module, dtype: torch.dtype, trains: bool) -> None:
        """Prepare a layer for one batch.

        Args:
            name: Name of the layer in error messages.
            layer: A plain ``nn.Linear``.
            dtype: Dtype of the matrix products.
            trains: Whether gradients are wanted at all (of those parameters that require them).

        Raises:
            ConfigError: For a layer that computes something else than its weight and bias say.
        """
        if not is_plain_linear(layer):
            hint = "impl='eager' takes any module with a weight of shape (V, D)"
            raise ConfigError(
                name, "an nn.Linear with its own forward for chunked and fused", type(layer).__name__, hint
            )
        if is_dtensor(layer.weight):
            hint = "Unshard it first (labelemb.LossModel does, fully_shard's head.unshard()), or use impl='eager'"
            raise ConfigError(
                f"{name}.weight", "the whole weight for chunked and fused", "a shard of it (DTensor)", hint
            )
        self.num_labels = layer.weight.shape[0]
        self.tensors: list[Tensor] = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
        self._weight = layer.weight.detach().to(dtype)
        wide = torch.promote_types(dtype, torch.float32)
        self.bias: Tensor | None = None if layer.bias is None else layer.bias.detach().to(wide).contiguous()
        self._weight_gradient, *bias_gradient = (gradient_buffer(tensor, dtype, trains) for tensor in self.tensors)
        self._bias_gradient = bias_gradient[0].zero_() if bias_gradient and bias_gradient[0] is not None else None
        self._fresh = True

    @property
    def trains(self) -> bool:
        """Whether there is a gradient to accumulate."""
        return self._weight_gradient is not None or self._bias_gradient is not None

    def logits(self, x: Tensor, out: Tensor, add_bias: bool = True) -> Tensor:
        """Write x W^T + b, or x W^T, for x ``(n, D)`` into ``out``, ``(n, V)``, and return it."""
        if self.bias is None or not add_bias:
            return torch.mm(x, self._weight.t(), out=out)
        return torch.addmm(self.bias.to(x.dtype), x, self._weight.t(), out=out)

    def input_gradient(self, dz: Tensor, columns: Tensor | None = None) -> Tensor:
        """Return dz W, ``(n, D)``, for dz ``(n, V)``, or ``(n, a)`` with the numbers of its columns ``(a,)``."""
        return dz @ (self._weight if columns is None else self._weight[columns])

    def add_weight_gradient(self, dz: Tensor, x: Tensor, columns: Tensor | None = None) -> None:
        """Accumulate dz^T x. The first chunk writes, so that nothing has to be zeroed before.

        Args:
            dz: Shape ``(n, V)``, or ``(n, a)`` with ``columns``.
            x: Shape ``(n, D)``.
            columns: Labels of the columns of dz, shape ``(a,)``; None: all.
        """
        if self._weight_gradient is None:
            return
        if columns is None:
            add_product(self._weight_gradient, dz.t(), x, keep=not self._fresh)
        else:
            if self._fresh:
                self._weight_gradient.zero_()
            product = self._weight_gradient.new_empty(len(columns), x.shape[1])
            add_product(product, dz.t(), x, keep=False)
            self._weight_gradient.index_add_(0, columns, product)
        self._fresh = False

    @property
    def trains_bias(self) -> bool:
        """Whether there is the gradient of a bias to accumulate."""
        return self._bias_gradient is not None

    def add_bias_gradient(self, sums: Tensor) -> None:
        """Accumulate the column sums of some rows of dz, shape ``(V,)``."""
        if self._bias_gradient is not None:
            self._bias_gradient.add_(sums)

    def gradients(self) -> list[Tensor | None]:
        """Return the accumulated gradients of ``tensors``; zero when nothing was added."""
        if self._weight_gradient is not None and self._fresh:
            self._weight_gradient.zero_()
        return [self._weight_gradient, self._bias_gradient][: len(self.tensors)]


def significant_columns(dz: Tensor, eps: float | None) -> Tensor | None:
    """Return the columns of a chunk's gradient with an entry of at least eps; None where they are a quarter or more.

    Without the others a weight gradient is off by at most eps times the sum of the rows' absolute inputs, the gradient
    of a row's input by at most eps times the sum of the absolute weights.

    Args:
        dz: Shape ``(n, V)``.
        eps: Smallest entry that matters; None: all do.
    """
    if eps is None:
        return None
    if not len(dz):
        return None
    largest = torch.maximum(dz.amax(0), -dz.amin(0))  # on a CPU a quarter of the time of a vector norm
    columns = (largest >= eps).nonzero().squeeze(1)
    return columns if len(columns) < dz.shape[1] // SPARSE else None


def add_product(total: Tensor, a: Tensor, b: Tensor, keep: bool) -> None:
    """Set total to ``(total if keep else 0) + a b``, accumulated in the dtype of total even where a and b are narrower.

    Args:
        total: Shape ``(V, D)``.
        a: Shape ``(V, n)``.
        b: Shape ``(n, D)``.
        keep: Whether to add to what total holds.
    """
    if a.dtype == total.dtype:
        total.addmm_(a, b, beta=1 if keep else 0)
    elif _multiplies_into_float32(a.device, a.dtype):
        torch.addmm(total, a, b, beta=1 if keep else 0, out_dtype=torch.float32, out=total)
    elif total.device.type == "cpu":
        threads = torch.get_num_threads()
        in_parts(lambda _, labels: _add_blocks(total[labels], a[labels], b, keep), cut_evenly(len(total), threads))
    else:
        product = a @ b
        total.add_(product) if keep else total.copy_(product)


def _add_blocks(total: Tensor, a: Tensor, b: Tensor, keep: bool) -> None:
    """``add_product`` on a CPU, for fewer bits in a and b: a block of labels at a time."""
    product = b.new_empty(min(CPU_PRODUCT_BLOCK, len(total)), b.shape[1])
    for start in range(0, len(total), CPU_PRODUCT_BLOCK):
        rows = total[start : start + CPU_PRODUCT_BLOCK]
        block = torch.mm(a[start : start + CPU_PRODUCT_BLOCK], b, out=product[: len(rows)])
        add_rows(rows, block) if keep else rows.copy_(block)


def gradient_buffer(parameter: Tensor, dtype: torch.dtype, trains: bool) -> Tensor | None:
    """Return an uninitialized buffer for a parameter's gradient, in fp32 or wider; None where it gets none."""
    if not (trains and parameter.requires_grad):
        return None
    return torch.empty(parameter.shape, dtype=torch.promote_types(dtype, torch.float32), device=parameter.device)


@cache
def _multiplies_into_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether this torch can add a low-precision product to an fp32 matrix without rounding it first."""
    a, total = torch.zeros(16, 16, dtype=dtype, device=device), torch.zeros(16, 16, device=device)
    try:
        torch.addmm(total, a, a, out_dtype=torch.float32, out=total)
    except (RuntimeError, TypeError):  # no such product here, or no such argument
        return False
    return True
