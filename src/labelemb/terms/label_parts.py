"""LabelParts: a module whose labels may be split over processes."""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import nn

from labelemb.errors import ConfigError
from labelemb.terms.shard import LabelShard


class LabelParts(nn.Module, ABC):
    """A module whose parameters can be split by label and gathered again.

    Attributes:
        shard: The labels that this process holds; None: all.
        shard_dims: Name of each parameter -> axis of the labels.
        label_names: V strings, or None.
    """

    shard: LabelShard | None = None
    shard_dims: ClassVar[dict[str, int]]
    label_names: list[str] | None

    @abstractmethod
    def _like(self, shard: LabelShard | None) -> Self:
        """Return a new embedding of the same sizes."""

    def split(self, shard: LabelShard) -> Self:
        """Return a copy of one process's part.

        Raises:
            ConfigError: For an embedding that is split already.
        """
        self._expect_whole("split()")
        local = self._like(shard)
        for (name, mine), full in zip(local.named_parameters(), self.parameters(), strict=True):
            mine.data = shard.part(full.detach(), self.shard_dims[name]).clone()
            mine.requires_grad_(full.requires_grad)
        local.label_names = self.label_names
        return local

    def gather(self) -> Self:
        """Return a copy with all labels, on every process of the shard; call it on all of them."""
        if self.shard is None:
            return copy.deepcopy(self)
        whole = self._like(None)
        for (name, full), mine in zip(whole.named_parameters(), self.parameters(), strict=True):
            full.data = self.shard.gather(mine, self.shard_dims[name]).contiguous()
        whole.label_names = self.label_names
        return whole

    def _expect_whole(self, call: str) -> None:
        if self.shard is not None and not self.shard.is_whole:
            raise ConfigError("embedding", f"one with all labels for {call}", "a shard", "Use gather()")
