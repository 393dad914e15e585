"""Checkpoints: one file, written atomically, read without executing anything and checked before it is used."""

import pickle
import warnings
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from labelemb.errors import DataError
from labelemb.files import write_atomically
from labelemb.runs.history import Line, check_history
from labelemb.terms.shard import is_dtensor

EXPECTED = "a checkpoint of this program"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, strings and plain containers of them atomically."""
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; other objects than tensors and plain values are refused, not executed.

    Raises:
        DataError: The file is not a checkpoint.
    """
    if path.exists() and not path.is_file():
        raise DataError(str(path), EXPECTED, "not a regular file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to load it all the same
        raise DataError(
            str(path), EXPECTED, "a damaged file, or one with objects other than tensors and plain values"
        ) from error
    except OSError as error:
        raise DataError(str(path), EXPECTED, error.strerror or "a damaged file") from error
    except Exception as error:  # a damaged file can fail anywhere inside torch's reader
        raise DataError(str(path), EXPECTED, f"a damaged file ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise DataError(str(path), EXPECTED, type(content).__name__)
    return content


def load_weights(module: nn.Module, content: Mapping[str, Any], key: str, path: Path) -> None:
    """Load the entry ``key`` of a checkpoint into a module.

    Args:
        module: Model or loss.
        content: Content of the checkpoint.
        key: "model" or "loss".
        path: File of the checkpoint, for error messages.

    Raises:
        DataError: The names, shapes or types of the tensors are not those of the module.
    """
    weights, own = content.get(key), module.state_dict()
    if not isinstance(weights, dict):
        raise DataError(f"{path}, {key}", "tensors by name", type(weights).__name__)
    if weights.keys() != own.keys():
        missing, unknown = sorted(own.keys() - weights.keys()), sorted(map(str, weights.keys() - own.keys()))
        difference = [f"no {name}" for name in missing[:2]] + [f"an unknown {name}" for name in unknown[:2]]
        raise DataError(f"{path}, {key}", f"the weights of a {type(module).__name__}", ", ".join(difference))
    for name, value in own.items():
        expected, got = _describe(value), _describe(weights[name])
        if expected != got:
            raise DataError(f"{path}, {key}, {name}", expected, got)
    try:
        with warnings.catch_warnings():  # torch warns that nothing is copied into a module on the meta device
            warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter", UserWarning)
            module.load_state_dict({name: _placed_like(value, own[name]) for name, value in weights.items()})
    except Exception as error:  # state that a module checks by itself
        raise DataError(f"{path}, {key}", f"the state of a {type(module).__name__}", _first_line(error)) from error


def load_optimizer(optimizer: Optimizer, content: Mapping[str, Any], path: Path) -> None:
    """Load the optimizer state of a checkpoint; the options of the optimizer stay.

    Raises:
        DataError: The state is not that of an optimizer of these parameters.
    """
    own = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved = content.get("optimizer")
    state = saved.get("state") if isinstance(saved, dict) else None
    if not isinstance(state, dict) or not all(type(index) is int and 0 <= index < len(parameters) for index in state):
        raise DataError(f"{path}, optimizer", f"the state of {len(parameters)} parameters", type(state).__name__)
    names = [set(values) if isinstance(values, dict) else None for values in state.values()]
    for (index, values), found in zip(state.items(), names, strict=True):
        source = f"{path}, optimizer, parameter {index}"
        if found is None or found not in ({"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}) or found != names[0]:
            raise DataError(source, "moments of Adam or SGD", found or type(values).__name__)
        shapes = {"step": "a () float32 tensor"}
        for name, value in values.items():
            expected = shapes.get(name, _describe(parameters[index]))
            if value is not None and _describe(value) != expected:
                raise DataError(f"{source}, {name}", expected, _describe(value))
    placed = {
        index: {
            name: value if name == "step" else _placed_like(value, parameters[index]) for name, value in values.items()
        }
        for index, values in state.items()
    }
    optimizer.load_state_dict({**own, "state": placed})


def load_history(content: Mapping[str, Any], total_steps: int, path: Path) -> list[Line]:
    """Return the history of a checkpoint.

    Raises:
        DataError: It is damaged, or ends after ``total_steps`` steps.
    """
    history = content.get("history")
    if not isinstance(history, list) or not history:
        raise DataError(f"{path}, history", "a list of evaluations", type(history).__name__)
    check_history(f"{path}, history", history)
    if any("step" not in line for line in history) or history[-1]["step"] > total_steps:
        raise DataError(f"{path}, history", f"a last step of at most {total_steps}", history[-1].get("step"))
    return history


def nearest_hint(path: Path) -> str:
    """Return a hint that names an existing checkpoint similar to a missing one, or "".

    The directories above ``path`` are searched to a depth of two, the innermost first. The checkpoint with the most
    similar path is named, those with the same file name before all others.
    """
    folders = [folder for folder in path.parents if not path.is_absolute() or len(folder.parts) > 2]
    for folder in folders:
        found = [file for depth in ("", "*/", "*/*/") for file in sorted(folder.glob(f"{depth}*.pt")) if file.is_file()]
        if found:
            like = {file: SequenceMatcher(None, str(file), str(path)).ratio() for file in found}
            return f"There is {max(found, key=lambda file: (file.name == path.name, like[file]))}"
    return ""


def _placed_like(value: Any, own: object) -> Any:
    """Return a whole tensor, which every process has, as ``own`` is placed: split if that is a ``DTensor``."""
    if value is None or not is_dtensor(own):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(own, DTensor)
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)


def _describe(value: object) -> str:
    """Return shape and type of a tensor, in words."""
    if not isinstance(value, Tensor):
        return f"a value of type {type(value).__name__}"
    kind = "" if value.layout == torch.strided and not value.is_quantized else f"{value.layout} "
    return f"a {tuple(value.shape)} {kind}{str(value.dtype).removeprefix('torch.')} tensor"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
