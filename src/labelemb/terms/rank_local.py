"""Rank-local tensors that DDP must not broadcast."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class RankLocalState(nn.Module):
    """A tensor, ``value``, that follows ``to(device)`` and belongs to this process alone; it is not saved.

    Not a buffer: where a loss is part of a model under DistributedDataParallel, the buffers of rank 0 overwrite those
    of all ranks at each forward pass. It does not follow ``bfloat16()`` either, in which counts end at 256: fp32 is the
    least.

    Args:
        value: Initial value.
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        moved = fn(self.value)
        narrow = moved.is_floating_point() and moved.dtype.itemsize < torch.float32.itemsize
        self.value = self.value.to(moved.device) if narrow else moved
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


class PendingState(RankLocalState):
    """What this rank has accumulated since the last ``Loss.sync``; zero at first and after a ``state_dict`` is loaded.

    Args:
        shape: Shape of the tensor.
        dtype: Its dtype.
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(torch.zeros(shape, dtype=dtype))
        self.register_load_state_dict_post_hook(_reset)  # type: ignore[no-untyped-call]


class SavedState(RankLocalState):
    """Rank-local state that is saved with the ``state_dict``; ``Loss.sync`` has made it equal on all ranks by then."""

    def get_extra_state(self) -> Tensor:
        """Save it in the ``state_dict``."""
        return self.value

    def set_extra_state(self, state: Tensor) -> None:
        """Restore it from a ``state_dict``."""
        self.value.copy_(state)


def _reset(module: nn.Module, incompatible_keys: Any) -> None:
    assert isinstance(module, PendingState)
    module.value.zero_()
