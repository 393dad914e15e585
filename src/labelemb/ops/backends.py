"""Choice of the implementation: ``eager`` is the definition, ``chunked`` and ``fused`` have its value and gradients."""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeGuard, get_args

import torch
from torch import nn

from labelemb.errors import ConfigError

if TYPE_CHECKING:
    from labelemb.ops.chunked.driver import Chunked
    from labelemb.ops.inputs import ObjectiveInputs

Implementation = Literal["auto", "eager", "chunked", "fused"]
EAGER_LABELS = 1000  # on a CPU, with 128 and with 1,024 rows, eager and chunked are level between 200 and 2,000 labels


def check_implementation(impl: str, chunk_bytes: int | None) -> None:
    """Refuse an implementation that cannot run when the loss is made, not at its first batch.

    Raises:
        ConfigError: For an unknown name, "fused" without triton, or ``chunk_bytes`` below 1.
    """
    if impl not in get_args(Implementation):
        raise ConfigError("impl", " or ".join(get_args(Implementation)), repr(impl))
    if impl == "fused" and not has_triton():
        raise ConfigError("impl", "triton for 'fused'", "no triton", hint="pip install triton")
    if chunk_bytes is not None and chunk_bytes < 1:
        raise ConfigError("chunk_bytes", "a number of bytes >= 1, or None", chunk_bytes)


def select_backend(
    impl: Implementation,
    inputs: "ObjectiveInputs",
    chunk_bytes: int | None,
    *,
    decays: bool = False,
    filter_eps: float | None = None,
) -> "Chunked | None":
    """Return the chunked implementation to use for a batch, or None for eager.

    "auto" is eager for mixed targets and for heads other than a plain ``nn.Linear``, else ``fastest``.

    Args:
        impl: Name of the implementation.
        inputs: The batch and the head.
        chunk_bytes: Memory for the buffers of a chunk; None: a default for the device.
        decays: Whether weights of terms change from step to step.
        filter_eps: See ``Chunked``.
    """
    rows, head = inputs.rows, inputs.head
    if impl == "auto":
        impl = "eager"
        if rows.mixed is None and is_plain_linear(head):
            impl = fastest(len(head.weight), rows.hidden.device, decays)
    if impl == "eager":
        return None
    from labelemb.ops.chunked.driver import Chunked  # imports torch's compiler, to be kept out of graphs

    if impl == "chunked":
        return Chunked(chunk_bytes=chunk_bytes, filter_eps=filter_eps)
    from labelemb.ops.triton import TritonRowKernels  # imports triton

    return Chunked(TritonRowKernels, chunk_bytes, filter_eps)


def fastest(num_labels: int, device: torch.device, decays: bool = False) -> Implementation:
    """Return eager for up to ``EAGER_LABELS`` labels; above, fused on a CUDA device with triton, else chunked.

    The fused kernels are compiled for fixed weights of the terms, so where these decay it is chunked.
    """
    if num_labels <= EAGER_LABELS:
        return "eager"
    return "fused" if device.type == "cuda" and has_triton() and not decays else "chunked"


def is_plain_linear(layer: nn.Module) -> TypeGuard[nn.Linear]:
    """Return whether a layer computes ``x W^T + b`` with ``nn.Linear``'s own forward, as chunked and fused need."""
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward


@cache
def has_triton() -> bool:
    """Return whether triton is installed, without importing it."""
    return find_spec("triton") is not None
