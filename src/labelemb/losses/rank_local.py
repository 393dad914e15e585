"""Tensors that each process holds by itself: what data parallelism must not make alike."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class RankLocalState(nn.Module):
    """A tensor, ``value``, that goes along with ``to(device)`` and is seen by this process alone; it is not saved.

    Not a buffer: where a loss is part of a model under DistributedDataParallel, the buffers of the first process take
    the place of everybody's at each forward pass, and what the others noted is gone. Nor does it follow ``bfloat16()``,
    in which a count ends at 256: fp32 is the least.
    """

    def __init__(self, value: Tensor) -> None:
        """value: what it holds at first."""
        super().__init__()
        self.value = value

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        moved = fn(self.value)
        narrow = moved.is_floating_point() and moved.dtype.itemsize < torch.float32.itemsize
        self.value = self.value.to(moved.device) if narrow else moved
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


class PendingState(RankLocalState):
    """What was noted since the processes last brought it together; zero at first.

    Zero again where a ``state_dict`` is loaded: the notes belong to another history than what is loaded.
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(torch.zeros(shape, dtype=dtype))
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]


class SavedState(RankLocalState):
    """One that is saved and loaded with the ``state_dict``; ``Loss.sync`` has made it the same everywhere by then."""

    def get_extra_state(self) -> Tensor:
        """Let ``state_dict`` hold it."""
        return self.value

    def set_extra_state(self, state: Tensor) -> None:
        """Take it back from a ``state_dict``."""
        self.value.copy_(state)


def _forget(module: nn.Module, incompatible_keys: Any) -> None:
    assert isinstance(module, PendingState)
    module.value.zero_()
