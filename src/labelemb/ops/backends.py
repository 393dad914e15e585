"""Which program computes a loss: one definition, ``eager``, and others with its value and gradients.

N rows, V labels.
"""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

import torch

from labelemb.errors import ConfigError

if TYPE_CHECKING:
    from labelemb.ops.chunked.driver import Chunked

Implementation = Literal["auto", "eager", "chunked", "fused"]
EAGER_LABELS = 1000  # measured on a CPU: with 128 rows and with 1,024 the two are level between 200 and 2,000 labels


def check_implementation(impl: str, chunk_bytes: int | None) -> None:
    """Refuse what cannot run, when the loss is made rather than at its first batch.

    Raises ConfigError.
    """
    if impl not in get_args(Implementation):
        raise ConfigError("impl", " or ".join(get_args(Implementation)), repr(impl))
    if impl == "fused" and not has_triton():
        raise ConfigError("impl", "triton for 'fused'", "no triton", hint="pip install triton")
    if chunk_bytes is not None and chunk_bytes < 1:
        raise ConfigError("chunk_bytes", "a number of bytes >= 1, or None", chunk_bytes)


def select_backend(
    impl: str, num_labels: int, device: torch.device, chunk_bytes: int | None, fades: bool = False
) -> "Chunked | None":
    """Return what goes over the chunks, or None where ``eager`` computes the loss.

    num_labels: V; device: of the hidden state. "auto" is eager for up to ``EAGER_LABELS`` labels; above, it is fused on
    a CUDA device with triton and chunked elsewhere, and where the weights of the terms change from step to step
    (``fades``): the kernels of fused are compiled for one pair of weights.
    """
    if impl == "auto":
        fused = device.type == "cuda" and has_triton() and not fades
        impl = "eager" if num_labels <= EAGER_LABELS else "fused" if fused else "chunked"
    if impl == "eager":
        return None
    from labelemb.ops.chunked.driver import Chunked  # brings torch's compiler along, to be kept out of graphs

    if impl == "chunked":
        return Chunked(chunk_bytes=chunk_bytes)
    from labelemb.ops.triton import TritonRowKernels  # triton is imported by those who ask for it alone

    return Chunked(TritonRowKernels, chunk_bytes)


@cache
def has_triton() -> bool:
    """Whether triton is installed; does not import it."""
    return find_spec("triton") is not None
