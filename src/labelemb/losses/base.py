"""The one call shape of every loss, and the rows that all of them count alike.

N rows (images or target tokens), V labels, D hidden size.
"""

from numbers import Real

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError, ShapeError
from labelemb.terms.output import MixedTargets


class Loss(nn.Module):
    """The hooks of every loss; here they do nothing. ``forward`` is its own affair:

    ``loss(hidden, head, targets, num_items_in_batch=None, index=None) -> LossOutput``

    mixes  whether targets may be ``MixedTargets``
    """

    mixes = False

    def step(self) -> None:
        """Take note of one optimiser step; call it after each ``optimizer.step()``."""

    def epoch_end(self) -> None:
        """Take note of the end of an epoch; every process of a distributed job calls it, after the last ``step``."""

    def sync(self) -> None:
        """Bring together what the processes noted apart; all of them call it before one saves the ``state_dict``."""


def check_shapes(hidden: Tensor, head: nn.Linear, targets: Tensor, hidden_size: int, num_labels: int) -> None:
    """Refuse shapes and dtypes that do not fit; costs no synchronisation and is traced away by torch.compile.

    Raises ShapeError.
    """
    for name, value in (("hidden", hidden), ("targets", targets)):
        if not isinstance(value, Tensor):
            raise ShapeError(name, "a tensor", type(value).__name__)
    if hidden.dim() < 1 or hidden.shape[-1] != hidden_size:
        raise ShapeError("hidden", f"shape (..., {hidden_size})", tuple(hidden.shape))
    if not hidden.is_floating_point():
        raise ShapeError("hidden", "a floating point dtype", hidden.dtype)
    check_layer("head", head, hidden, num_labels)
    if targets.dtype != torch.int64:
        raise ShapeError("targets", "dtype torch.int64", targets.dtype)
    if targets.shape != hidden.shape[:-1]:
        raise ShapeError("targets", f"shape {tuple(hidden.shape[:-1])}, that of hidden without D", tuple(targets.shape))


def check_layer(name: str, layer: nn.Module, hidden: Tensor, num_labels: int) -> None:
    """Refuse a layer that cannot take hidden (..., D) to V logits: its shape, dtype or device does not fit.

    Raises ShapeError.
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        raise ShapeError(name, "an nn.Linear, from hidden size to labels", type(layer).__name__)
    if tuple(weight.shape) != (num_labels, hidden.shape[-1]):
        raise ShapeError(f"{name}.weight", f"shape ({num_labels}, {hidden.shape[-1]})", tuple(weight.shape))
    if weight.device != hidden.device:
        raise ShapeError(f"{name}.weight", f"the device of hidden, {hidden.device}", weight.device, "Use .to(device)")
    check_same_dtype(name, weight, hidden)


def check_same_dtype(name: str, weight: Tensor, hidden: Tensor) -> None:
    """Refuse a hidden state that cannot be multiplied with the weight of ``name``.

    Raises ShapeError.
    """
    # Autocast brings both to its own precision, but leaves float64 alone.
    autocast = torch.is_autocast_enabled(hidden.device.type) and torch.float64 not in (hidden.dtype, weight.dtype)
    if hidden.dtype != weight.dtype and not autocast:
        raise ShapeError("hidden", f"the dtype of {name}, {weight.dtype}, outside autocast", hidden.dtype)


def check_denominator(num_items_in_batch: object) -> None:
    """Refuse a number of rows that is none; in a tensor only the shape is looked at, the value may be on a GPU.

    Raises ConfigError.
    """
    if num_items_in_batch is None:
        return
    if isinstance(num_items_in_batch, Tensor):
        if num_items_in_batch.dim():
            raise ConfigError("num_items_in_batch", "a scalar", f"shape {tuple(num_items_in_batch.shape)}")
    elif not (isinstance(num_items_in_batch, Real) and 1 <= float(num_items_in_batch) < float("inf")):
        raise ConfigError("num_items_in_batch", "a number of rows >= 1", num_items_in_batch)


def check_values(hidden: Tensor, targets: Tensor, num_labels: int, ignore_index: int) -> None:
    """Refuse labels out of range and NaN in mask rows. Reads values back: on a GPU that waits for the device.

    Raises DataError.
    """
    mask = targets != ignore_index
    wrong = mask & ((targets < 0) | (targets >= num_labels))
    if wrong.any():
        raise DataError(
            "targets", f"labels 0..{num_labels - 1} or ignore_index {ignore_index}", int(targets[wrong].flatten()[0])
        )
    broken = hidden.detach().isnan().any(dim=-1) & mask
    if broken.any():
        raise DataError("hidden", "no NaN in rows that count", f"NaN in {int(broken.sum())} rows")


def check_index(index: Tensor | None, targets: Tensor) -> None:
    """Refuse sample numbers that are not one per row.

    Raises ShapeError.
    """
    if index is not None and (index.dtype != torch.int64 or index.shape != targets.shape):
        expected = f"dtype torch.int64 and shape {tuple(targets.shape)}, that of the targets"
        raise ShapeError("index", expected, f"{index.dtype} and {tuple(index.shape)}")


def check_mixed_shapes(mixed: MixedTargets) -> None:
    """Refuse parts of mixed targets that do not fit each other.

    Raises ShapeError.
    """
    shape = tuple(mixed.first.shape)
    if mixed.second.dtype != torch.int64 or mixed.second.shape != mixed.first.shape:
        got = f"{mixed.second.dtype} and {tuple(mixed.second.shape)}"
        raise ShapeError("targets.second", f"dtype torch.int64 and shape {shape}, as the first", got)
    if not mixed.weight.is_floating_point() or mixed.weight.shape != mixed.first.shape:
        got = f"{mixed.weight.dtype} and {tuple(mixed.weight.shape)}"
        raise ShapeError("targets.weight", f"a floating point dtype and shape {shape}, as the labels", got)


def check_mixed_values(hidden: Tensor, mixed: MixedTargets, num_labels: int, ignore_index: int) -> None:
    """Refuse second labels out of range, rows of which one label is ignored, weights out of 0..1.

    Raises DataError.
    """
    check_values(hidden, mixed.second, num_labels, ignore_index)
    if ((mixed.first == ignore_index) != (mixed.second == ignore_index)).any():
        raise DataError("targets", f"ignore_index {ignore_index} in both labels of a row or in none", "one of the two")
    fine = (mixed.weight >= 0) & (mixed.weight <= 1)
    if not fine.all():
        raise DataError("targets.weight", "numbers from 0 to 1", float(mixed.weight[~fine][0]))


def wants_validation(chosen: bool | None, hidden: Tensor) -> bool:
    """Value checks: never inside torch.compile; by default (None) on a CPU only, where they wait for nobody."""
    if torch.compiler.is_compiling():
        return False
    return hidden.device.type == "cpu" if chosen is None else chosen
