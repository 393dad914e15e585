"""The one call shape of every loss, and the rows that all of them count alike.

N rows (images or target tokens), V labels, D hidden size.
"""

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError, ShapeError


@dataclass(frozen=True)
class LossOutput:
    """What every loss returns.

    total    scalar to call ``backward()`` on
    terms    name -> detached scalar, as it enters the total (weights included; 0 when off): their sum is the total
    correct  int scalar, rows of this process that ``head`` predicts right
    count    int scalar, rows of this process; an ignored row is not a row
    """

    total: Tensor
    terms: dict[str, Tensor]
    correct: Tensor
    count: Tensor

    if not TYPE_CHECKING:  # which would then take any attribute for one that is there

        def __getattr__(self, name: str) -> Any:
            """Tell who takes it for a tensor what to ask instead."""
            hint = f"; its total has: .total.{name}" if hasattr(Tensor, name) else ""
            raise AttributeError(f"a LossOutput has no {name!r}{hint}")


class Loss(nn.Module):
    """The hooks of every loss; here they do nothing. ``forward`` is its own affair:

    ``loss(hidden, head, targets, denominator=None, index=None) -> LossOutput``

    mixes  whether targets may be ``MixedTargets``
    """

    mixes = False

    def advance(self) -> None:
        """Take note of one optimiser step; call it after each ``optimizer.step()``."""

    def advance_epoch(self) -> None:
        """Take note of the end of an epoch; every process of a distributed job calls it, after the last ``advance``."""

    def unite(self) -> None:
        """Bring together what the processes noted apart; all of them call it before one saves the ``state_dict``."""


@dataclass(frozen=True)
class MixedTargets:
    """Two labels and a weight per row: the target is weight * t(first) + (1 - weight) * t(second).

    first, second  (...) int64; an ignored row has ``ignore_index`` in both
    weight         (...) float, 0..1
    """

    first: Tensor
    second: Tensor
    weight: Tensor

    @property
    def heavier(self) -> Tensor:
        """Return the label of each row that weighs more, (...); the first one where they weigh the same."""
        return torch.where(self.weight >= 0.5, self.first, self.second)


Targets = Tensor | MixedTargets


@dataclass(frozen=True)
class Rows:
    """Flattened input of a loss. Ignored rows stay in place, neutralised: dropping them would synchronise a GPU.

    hidden   (N, D), zero in ignored rows, so that even their NaN goes nowhere
    labels   (N,) int64, 0 in ignored rows
    counted  (N,) bool, False in ignored rows
    index    (N,) int64, which sample each row is, where the caller says so
    """

    hidden: Tensor
    labels: Tensor
    counted: Tensor
    index: Tensor | None = None

    @classmethod
    def of(cls, hidden: Tensor, targets: Tensor, ignore_index: int, index: Tensor | None = None) -> "Rows":
        """Flatten (..., D) and (...) and neutralise the rows whose target is ``ignore_index``."""
        labels = targets.reshape(-1)
        counted = labels != ignore_index
        flat = hidden.reshape(-1, hidden.shape[-1])
        return cls(
            hidden=torch.where(counted[:, None], flat, 0.0),
            labels=torch.where(counted, labels, 0),
            counted=counted,
            index=None if index is None else index.reshape(-1),
        )


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


def check_denominator(denominator: object) -> None:
    """Refuse a number of rows that is none; in a tensor only the shape is looked at, the value may be on a GPU.

    Raises ConfigError.
    """
    if denominator is None:
        return
    if isinstance(denominator, Tensor):
        if denominator.dim():
            raise ConfigError("denominator", "a scalar", f"shape {tuple(denominator.shape)}")
    elif not (isinstance(denominator, Real) and 1 <= float(denominator) < float("inf")):
        raise ConfigError("denominator", "a number of rows >= 1", denominator)


def check_values(hidden: Tensor, targets: Tensor, num_labels: int, ignore_index: int) -> None:
    """Refuse labels out of range and NaN in counted rows. Reads values back: on a GPU that waits for the device.

    Raises DataError.
    """
    counted = targets != ignore_index
    wrong = counted & ((targets < 0) | (targets >= num_labels))
    if wrong.any():
        raise DataError(
            "targets", f"labels 0..{num_labels - 1} or ignore_index {ignore_index}", int(targets[wrong].flatten()[0])
        )
    broken = hidden.detach().isnan().any(dim=-1) & counted
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


def wants_value_checks(chosen: bool | None, hidden: Tensor) -> bool:
    """Value checks: never inside torch.compile; by default (None) on a CPU only, where they wait for nobody."""
    if torch.compiler.is_compiling():
        return False
    return hidden.device.type == "cpu" if chosen is None else chosen


def chosen_sum(values: Tensor, chosen: Tensor) -> Tensor:
    """Sum of the chosen rows; ``where`` rather than a product, so that an infinite row that is not chosen stays out."""
    return torch.where(chosen, values, 0.0).sum()


def world_size() -> int:
    """Return how many processes share the batch (1 when torch.distributed is not in use)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def global_sum(values: Tensor) -> Tensor:
    """Sum over processes, detached; the value itself when there is one process.

    Denominators go through this, so that the mean over processes of a loss equals one process with the whole batch.
    """
    values = values.detach()
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def row_scale(count: Tensor, denominator: Tensor | float | None) -> Tensor:
    """Return the factor that turns this process's sum over rows into its share of the mean over the whole batch.

    With n processes it is n / rows: averaging over processes afterwards, as data parallelism does, divides by n.

    count        scalar, rows of this process, in the dtype that is wanted; the processes add theirs up
    denominator  what to divide by instead, for a batch that comes in several pieces; nobody has to be asked then
    """
    if denominator is None:
        return world_size() / global_sum(count).clamp(min=1)
    return world_size() / torch.as_tensor(denominator, device=count.device, dtype=count.dtype).clamp(min=1)


def upcast(logits: Tensor) -> Tensor:
    """Softmaxes are computed in fp32 at least, whatever autocast made of the logits."""
    return logits if logits.dtype == torch.float64 else logits.float()
