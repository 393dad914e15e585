"""Losses that depend on the number of finished epochs."""

import torch
from torch import Tensor

from labelemb.losses.base import Loss


class EpochCount(Loss):
    """Mixin: counts ``epoch_end()`` calls in ``epoch`` and saves the count in the ``state_dict``.

    A subclass overrides ``_set_epoch`` to update what depends on the epoch, and calls it in its constructor.
    """

    epoch: int

    def epoch_end(self) -> None:
        """Count the epoch."""
        super().epoch_end()
        self._set_epoch(self.epoch + 1)

    def _set_epoch(self, epoch: int) -> None:
        """Set the number of finished epochs."""
        self.epoch = epoch

    def get_extra_state(self) -> Tensor:
        """Return the number of finished epochs for the ``state_dict``, as a tensor for safetensors."""
        return torch.tensor(self.epoch)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of finished epochs."""
        self._set_epoch(int(state))
