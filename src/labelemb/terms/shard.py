"""LabelShard: the consecutive labels that one process holds."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

from labelemb.errors import ConfigError, check_at_least_one

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class LabelShard:
    """Labels ``start`` to ``stop - 1`` of ``num_labels``, with the processes that hold the others.

    Attributes:
        start: First label of this process.
        stop: One past its last label; equal to ``start`` where it holds none.
        num_labels: V, over all processes.
        group: Processes that hold the labels and see the same rows; None: this process holds all labels.
        sampled: Share of the labels, above 0 and up to 1, that a training step computes; see ``of``.

    Raises:
        ConfigError: For a range outside the labels, or a share out of range.
    """

    start: int
    stop: int
    num_labels: int
    group: Any = None
    sampled: float = 1.0

    def __post_init__(self) -> None:
        check_at_least_one("num_labels", self.num_labels)
        if not 0 <= self.start <= self.stop <= self.num_labels:
            expected = f"0 <= start <= stop <= {self.num_labels}"
            raise ConfigError("shard", expected, f"start {self.start}, stop {self.stop}")
        if self.group is None and self.size != self.num_labels:
            raise ConfigError("shard", "a group, or all labels in one process", f"{self.start}:{self.stop}")
        if not 0 < self.sampled <= 1:
            raise ConfigError("sampled", "a share above 0 and up to 1", self.sampled)

    @classmethod
    def of(cls, num_labels: int, group: Any = None, *, sampled: float = 1.0) -> "LabelShard":
        """Split the labels into consecutive parts, as ``torch.chunk`` does: the last ones may be smaller or empty.

        Args:
            num_labels: V.
            group: Processes to split over, a process group or a ``DeviceMesh`` of one dimension; None: the default
                group, or this process alone without one.
            sampled: Below 1 the loss is **approximate** in training mode: each process computes the labels of the batch
                and a random sample of its others, up to this share of its labels, as Partial FC does (An et al. 2022,
                arXiv 2203.15565). Sampled labels count with the inverse of their probability, so that sums of
                exponentials over all labels are unbiased. In evaluation mode all labels are computed.

        Example:
            >>> LabelShard.of(11).size
            11
        """
        if not (dist.is_available() and dist.is_initialized()):
            return cls(0, num_labels, num_labels, sampled=sampled)
        if hasattr(group, "get_group"):  # a DeviceMesh
            group = group.get_group()
        group = group if group is not None else dist.group.WORLD
        start, stop = label_range(num_labels, dist.get_world_size(group), dist.get_rank(group))
        return cls(start, stop, num_labels, group, sampled)

    @property
    def size(self) -> int:
        """Number of labels of this process."""
        return self.stop - self.start

    @property
    def processes(self) -> int:
        """Number of processes that hold the labels."""
        return 1 if self.group is None else dist.get_world_size(self.group)

    @property
    def is_whole(self) -> bool:
        """Whether this process computes all labels alone, as without a shard."""
        return self.processes == 1 and self.sampled == 1

    def __deepcopy__(self, memo: Any) -> "LabelShard":
        """Return the shard itself: process groups cannot be copied."""
        return self

    @contextmanager
    def fork_rng(self) -> Iterator[None]:
        """Draw different random numbers on each process inside the block, from CPU generators that are equal outside.

        Layers that are initialized in it differ between processes, as the rows of an unsharded layer do.
        """
        if self.processes == 1:
            yield
            return
        seed = int(torch.randint(2**62, ()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + self.start)
            yield

    def part(self, full: Tensor, dim: int = 0) -> Tensor:
        """Return this process's part of a tensor that has all labels along ``dim``."""
        return full.narrow(dim, self.start, self.size)

    def gather(self, local: Tensor, dim: int = 0) -> Tensor:
        """Return the tensor with all labels along ``dim``, of which each process gives its part; on every process."""
        local = local.detach()
        if self.processes == 1:
            return local
        ranges = [label_range(self.num_labels, self.processes, rank) for rank in range(self.processes)]
        longest = ranges[0][1] - ranges[0][0]
        padded = local.new_zeros(longest, *local.movedim(dim, 0).shape[1:])
        padded[: self.size] = local.movedim(dim, 0)
        parts = [torch.empty_like(padded) for _ in ranges]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[: stop - start] for part, (start, stop) in zip(parts, ranges, strict=True)]).movedim(
            0, dim
        )

    def as_dtensor(self, local: Tensor, dim: int = 0) -> Tensor:
        """Return a ``DTensor`` over this process's part, which shares its memory, for torch.distributed.checkpoint.

        Args:
            local: Part of this process, with its labels along ``dim``.
            dim: Axis of the labels.
        """
        if self.processes == 1:
            return local.detach()
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.tensor import DTensor, Shard

        local = local.detach()
        mesh = DeviceMesh.from_group(self.group, local.device.type)
        shape = (*local.shape[:dim], self.num_labels, *local.shape[dim + 1 :])
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(local, mesh, [Shard(dim)], run_check=False, shape=torch.Size(shape), stride=stride)


def is_dtensor(value: object) -> TypeGuard["DTensor"]:
    """Return whether a value is a ``DTensor``; importing that class would load torch.distributed.tensor."""
    return hasattr(value, "placements") and hasattr(value, "to_local")


def label_range(num_labels: int, processes: int, rank: int) -> tuple[int, int]:
    """Return the first label of a process and one past its last.

    Example:
        >>> [label_range(5, 4, rank) for rank in range(4)]
        [(0, 2), (2, 4), (4, 5), (5, 5)]
    """
    step = -(-num_labels // processes)
    start = min(rank * step, num_labels)
    return start, min(start + step, num_labels)


def check_shard(shard: LabelShard | None, num_labels: int | None) -> LabelShard | None:
    """Return the shard if it is one of these labels (None: any), or None.

    Raises:
        ConfigError: For anything else.
    """
    if shard is not None and (
        not isinstance(shard, LabelShard) or shard.num_labels != (num_labels or shard.num_labels)
    ):
        raise ConfigError("shard", f"a LabelShard of {num_labels or 'the'} labels", repr(shard))
    return shard


def local_linear(size: int, num_labels: int) -> nn.Linear:
    """Return ``nn.Linear(size, num_labels)``, without torch's warning where a process holds no label."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
        return nn.Linear(size, num_labels)
