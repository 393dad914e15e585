"""Independent random streams derived from one seed: model, loss, data order, augmentation, dropout.

Two methods with the same seed start from the same weights and see the same batches, whatever else they draw. A stream
is addressed by name and index (such as the epoch), so resuming needs no saved generator state.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream_seed(seed: int, stream: str, *index: int) -> int:
    """Return the 63-bit seed of a stream, the same on every machine.

    Args:
        seed: Seed of the run.
        stream: Name of the stream.
        index: Position in the stream, such as the epoch.

    Example:
        >>> stream_seed(0, "order", 3) == stream_seed(0, "order", 3) != stream_seed(0, "order", 4)
        True
    """
    text = "/".join([str(seed), stream, *map(str, index)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, stream: str, *index: int) -> torch.Generator:
    """Return a new CPU generator for a stream; arguments as for ``stream_seed``."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, *index))


@contextmanager
def drawing_from(seed: int, stream: str, *index: int) -> Iterator[None]:
    """Seed torch's global CPU generator, which initializes layers, from a stream inside the block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, stream, *index))
        yield
