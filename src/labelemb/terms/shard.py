"""LabelShard: the consecutive labels that one process holds."""

from dataclasses import dataclass
from typing import Any

import torch.distributed as dist

from labelemb.errors import ConfigError, check_at_least_one


@dataclass(frozen=True)
class LabelShard:
    """Labels ``start`` to ``stop - 1`` of ``num_labels``, with the processes that hold the others.

    Attributes:
        start: First label of this process.
        stop: One past its last label; equal to ``start`` where it holds none.
        num_labels: V, over all processes.
        group: Processes that hold the labels and see the same rows; None: this process holds all labels.

    Raises:
        ConfigError: For a range outside the labels.
    """

    start: int
    stop: int
    num_labels: int
    group: Any = None

    def __post_init__(self) -> None:
        check_at_least_one("num_labels", self.num_labels)
        if not 0 <= self.start <= self.stop <= self.num_labels:
            expected = f"0 <= start <= stop <= {self.num_labels}"
            raise ConfigError("shard", expected, f"start {self.start}, stop {self.stop}")
        if self.group is None and self.size != self.num_labels:
            raise ConfigError("shard", "a group, or all labels in one process", f"{self.start}:{self.stop}")

    @classmethod
    def of(cls, num_labels: int, group: Any = None) -> "LabelShard":
        """Split the labels into consecutive parts, as ``torch.chunk`` does: the last ones may be smaller or empty.

        Args:
            num_labels: V.
            group: Processes to split over; None: the default group, or this process alone without one.

        Example:
            >>> LabelShard.of(11).size
            11
        """
        if not (dist.is_available() and dist.is_initialized()):
            return cls(0, num_labels, num_labels)
        group = group if group is not None else dist.group.WORLD
        step = -(-num_labels // dist.get_world_size(group))
        start = min(dist.get_rank(group) * step, num_labels)
        return cls(start, min(start + step, num_labels), num_labels, group)

    @property
    def size(self) -> int:
        """Number of labels of this process."""
        return self.stop - self.start
