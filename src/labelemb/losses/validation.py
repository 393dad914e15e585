"""Input checks of the losses. Each error names the argument, the expected and the given value, and the remedy.

Checks of shapes and dtypes cost no synchronization and are traced away by torch.compile. Checks of values read them
back: on a GPU that waits for the device.
"""

from numbers import Real

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError, ShapeError
from labelemb.terms.output import MixedTargets

CALL = "Call loss(hidden, head, targets): hidden is what enters the classifier, head is the classifier"
CAPTURE = "Hand over what enters the head, see labelemb.capture_head_input"
LINEAR_HEAD = "a module with a weight of shape (V, D), such as nn.Linear"


def check_call(hidden: object, head: object, targets: object) -> None:
    """Refuse a call in the manner of ``nn.CrossEntropyLoss``.

    Raises:
        ConfigError: For ``loss(logits, targets)``.
        ShapeError: For arguments that are not tensors, or a head without a weight of shape (V, D).
    """
    if isinstance(head, Tensor) or targets is None:
        raise ConfigError("loss(...)", "three arguments", "loss(logits, targets)", CALL)
    labels = targets.first if isinstance(targets, MixedTargets) else targets
    tensors = {"hidden": hidden, "targets": labels}
    if isinstance(targets, MixedTargets):
        tensors |= {"targets.second": targets.second, "targets.weight": targets.weight}
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            hint = (
                "For one weight: torch.full_like(first, weight, dtype=torch.float)" if isinstance(value, float) else ""
            )
            raise ShapeError(name, "a tensor", type(value).__name__, hint)
    if isinstance(head, nn.Sequential):
        hint = "Hand over its last Linear, and as hidden what enters that"
        raise ShapeError("head", LINEAR_HEAD, "Sequential", hint)
    if isinstance(head, nn.Embedding):
        hint = "For a tied embedding make head = nn.Linear(D, V, bias=False) and head.weight = embedding.weight"
        raise ShapeError("head", LINEAR_HEAD, "Embedding", hint)
    weight = getattr(head, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2:
        raise ShapeError("head", LINEAR_HEAD, type(head).__name__)


def check_hidden(hidden: Tensor, hidden_size: int, num_labels: int) -> None:
    """Refuse a hidden state of another size or of an integer dtype.

    Raises:
        ShapeError: With a hint where the sizes are those of logits.
    """
    if hidden.dim() < 1 or hidden.shape[-1] != hidden_size:
        logits = hidden.dim() > 0 and hidden.shape[-1] == num_labels
        hint = f"These look like logits. {CAPTURE}" if logits else ""
        raise ShapeError("hidden", f"shape (..., {hidden_size})", tuple(hidden.shape), hint)
    if not hidden.is_floating_point():
        raise ShapeError("hidden", "a floating point dtype", hidden.dtype)


def check_targets(targets: Tensor, hidden: Tensor) -> None:
    """Refuse targets that are not one int64 label per row.

    Raises:
        ShapeError: With a hint for probabilities, int32 labels and another batch size than that of hidden.
    """
    if targets.dtype != torch.int64:
        if targets.is_floating_point() and targets.shape != hidden.shape[:-1]:
            hint = "For two labels per row use MixedTargets, for a soft label per class SoftLabelMatrixLoss"
        else:
            hint = "Use targets.long()"
        raise ShapeError("targets", "class labels of dtype torch.int64", targets.dtype, hint)
    shape = tuple(hidden.shape[:-1])
    if targets.shape != shape:
        hint = ""
        if targets.dim() == hidden.dim() == 2 and targets.shape[0] == hidden.shape[0]:
            hint = "For one-hot targets use targets.argmax(-1)"
        elif targets.dim() == len(shape) > 0 and targets.shape[1:] == shape[1:]:
            hint = "hidden and targets come from batches of different sizes"
        raise ShapeError("targets", f"shape {shape}, that of hidden without D", tuple(targets.shape), hint)


def check_layer(name: str, layer: nn.Module, hidden: Tensor, num_labels: int) -> None:
    """Refuse a layer that cannot take hidden ``(..., D)`` to V logits: its shape, device or dtype does not fit.

    Raises:
        ShapeError: Names the layer.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if tuple(weight.shape) != (num_labels, hidden.shape[-1]):
        hint = "Is it the last linear layer of the model?" if name == "head" else ""
        raise ShapeError(f"{name}.weight", f"shape ({num_labels}, {hidden.shape[-1]})", tuple(weight.shape), hint)
    if weight.device != hidden.device:
        raise ShapeError(f"{name}.weight", f"the device of hidden, {hidden.device}", weight.device, "Use .to(device)")
    check_same_dtype(name, weight, hidden)


def check_same_dtype(name: str, weight: Tensor, hidden: Tensor) -> None:
    """Refuse a hidden state that cannot be multiplied with the weight of ``name``.

    Raises:
        ShapeError: For different dtypes outside autocast.
    """
    # Autocast brings both to its own precision, but leaves float64 alone.
    autocast = torch.is_autocast_enabled(hidden.device.type) and torch.float64 not in (hidden.dtype, weight.dtype)
    if hidden.dtype != weight.dtype and not autocast:
        hint = f"Keep the parameters in fp32 and use torch.autocast, or convert with .to({hidden.dtype})"
        raise ShapeError("hidden", f"the dtype of {name}, {weight.dtype}, outside autocast", hidden.dtype, hint)


def check_num_items(num_items_in_batch: object) -> None:
    """Refuse an impossible number of rows. The value of a tensor is not read: it may be on a GPU.

    Raises:
        ConfigError: For anything but a scalar >= 1.
    """
    if num_items_in_batch is None:
        return
    if isinstance(num_items_in_batch, Tensor):
        if num_items_in_batch.dim():
            raise ConfigError("num_items_in_batch", "a scalar", f"shape {tuple(num_items_in_batch.shape)}")
    elif not (isinstance(num_items_in_batch, Real) and 1 <= float(num_items_in_batch) < float("inf")):
        raise ConfigError("num_items_in_batch", "a number of rows >= 1", num_items_in_batch)


def check_index(index: object, targets: Tensor) -> None:
    """Refuse sample numbers that are not one per row.

    Raises:
        ShapeError: For another dtype or shape than that of the targets.
    """
    if index is not None and not isinstance(index, Tensor):
        raise ShapeError("index", "a tensor", type(index).__name__)
    if index is not None and (index.dtype != torch.int64 or index.shape != targets.shape):
        expected = f"dtype torch.int64 and shape {tuple(targets.shape)}, that of the targets"
        raise ShapeError("index", expected, f"{index.dtype} and {tuple(index.shape)}")


def check_mixed_shapes(mixed: MixedTargets) -> None:
    """Refuse parts of mixed targets that do not fit each other.

    Raises:
        ShapeError: Names the part.
    """
    shape = tuple(mixed.first.shape)
    if mixed.second.dtype != torch.int64 or mixed.second.shape != mixed.first.shape:
        got = f"{mixed.second.dtype} and {tuple(mixed.second.shape)}"
        raise ShapeError("targets.second", f"dtype torch.int64 and shape {shape}, as the first", got)
    if not mixed.weight.is_floating_point() or mixed.weight.shape != mixed.first.shape:
        got = f"{mixed.weight.dtype} and {tuple(mixed.weight.shape)}"
        raise ShapeError("targets.weight", f"a floating point dtype and shape {shape}, as the labels", got)


def check_values(hidden: Tensor, targets: Tensor, num_labels: int, ignore_index: int) -> None:
    """Refuse labels out of range and NaN in rows that are not ignored.

    Raises:
        DataError: Gives the first wrong label, or the number of rows with NaN.
    """
    mask = targets != ignore_index
    wrong = mask & ((targets < 0) | (targets >= num_labels))
    if wrong.any():
        expected = f"labels 0..{num_labels - 1} or ignore_index {ignore_index}"
        raise DataError("targets", expected, int(targets[wrong].flatten()[0]))
    broken = hidden.detach().isnan().any(dim=-1) & mask
    if broken.any():
        hint = "Where training has diverged, a lower learning rate or a maximum norm of the gradients helps"
        raise DataError("hidden", "no NaN in rows that are not ignored", f"NaN in {int(broken.sum())} rows", hint)


def check_mixed_values(hidden: Tensor, mixed: MixedTargets, num_labels: int, ignore_index: int) -> None:
    """Refuse second labels out of range, rows with only one of the labels ignored, and weights outside 0..1.

    Raises:
        DataError: Gives the first wrong value.
    """
    check_values(hidden, mixed.second, num_labels, ignore_index)
    if ((mixed.first == ignore_index) != (mixed.second == ignore_index)).any():
        raise DataError("targets", f"ignore_index {ignore_index} in both labels of a row or in none", "one of the two")
    fine = (mixed.weight >= 0) & (mixed.weight <= 1)
    if not fine.all():
        raise DataError("targets.weight", "numbers from 0 to 1", float(mixed.weight[~fine][0]))


def wants_validation(validate_args: bool | None, tensor: Tensor) -> bool:
    """Return whether to check values: never inside torch.compile; by default (None) on a CPU only."""
    if torch.compiler.is_compiling():
        return False
    return tensor.device.type == "cpu" if validate_args is None else validate_args
