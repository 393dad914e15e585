"""Find the classifier of a model, and get its input without computing logits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from labelemb.errors import ConfigError, ShapeError

# Attributes under which models keep their classifier: torchvision, timm, transformers.
HEAD_NAMES = ("classifier", "score", "lm_head", "fc", "head", "heads", "qa_outputs", "output_projection")
REMEDY = "Pass head=, the module or its dotted name"
# Options of transformers' configs by which a model changes its logits after the head.
CHANGED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def find_head(model: nn.Module, head: nn.Module | str | None, num_labels: int | None) -> nn.Module:
    """Return the classifier of a model, a module with a weight of shape ``(V, D)``.

    Args:
        model: A model of any library.
        head: The classifier itself, its dotted name, or None to look for it: ``get_output_embeddings()``
            (transformers), ``get_classifier()`` (timm), an attribute such as ``classifier`` or ``fc``, at last the
            only linear layer with V outputs.
        num_labels: V; None: unknown.

    Raises:
        ConfigError: Where no head, or more than one, is found, and if the given ``head`` is not a module of the model.
        ShapeError: If the given ``head`` is not a classifier.
    """
    if head is not None:
        return _given(model, head)
    for found in _candidates(model):
        last = _last_linear(_unwrapped(found), num_labels)
        if last is not None:
            return last
    heads = _heads_in(model, num_labels)
    if len(heads) == 1:
        return heads[0]
    expected = "a model with one linear classifier" + (f" of {num_labels} labels" if num_labels else "")
    raise ConfigError("head", expected, f"{len(heads)} in {type(model).__name__}", REMEDY)


@contextmanager
def bypassed(head: nn.Module) -> Iterator[None]:
    """Let a head return its input while the block runs, so that a model returns hidden states instead of logits.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        >>> with bypassed(model[1]):
        ...     model(torch.zeros(5, 3)).shape
        torch.Size([5, 4])
    """
    before = head.__dict__.get("forward")  # a wrapper that another library has put there
    head.forward = _identity
    try:
        yield
    finally:
        del head.forward  # the method of its class again
        if before is not None:
            head.forward = before


def check_logits_unchanged(model: nn.Module) -> None:
    """Refuse a model that caps or scales its logits after the head: the loss would not see it.

    Raises:
        ConfigError: Names the option of the model's config.
    """
    config = getattr(model, "config", None)
    for name in CHANGED_LOGITS:
        value = getattr(config, name, None)
        if isinstance(value, int | float) and value != 1:
            hint = f"Set model.config.{name} to None where the model allows it"
            raise ConfigError("model", "logits that are the output of the head", f"{name}={value}", hint)


def gather_parameters(head: nn.Module) -> None:
    """All-gather the parameters of a head that ``fully_shard`` was called on itself; the loss reads its weight.

    FSDP frees them again after the backward pass. A head in the root's group is gathered by the forward pass.
    """
    if hasattr(head, "unshard"):  # an FSDPModule; importing its class would load torch.distributed.fsdp
        head.unshard()  # type: ignore[operator]


def _identity(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden


def _given(model: nn.Module, head: nn.Module | str) -> nn.Module:
    if isinstance(head, str):
        try:
            head = model.get_submodule(head)
        except AttributeError as error:
            raise ConfigError("head", f"the name of a module of {type(model).__name__}", repr(head)) from error
    elif not isinstance(head, nn.Module):
        raise ConfigError("head", "a module of the model, or its name", repr(head))
    found = _unwrapped(head)
    if not is_head(found):
        hint = "Its last linear layer is the head" if any(is_head(m) for m in found.modules()) else ""
        expected = "a module with a weight of shape (V, D), such as nn.Linear"
        raise ShapeError("head", expected, type(found).__name__, hint)
    if not any(module is found for module in model.modules()):
        raise ConfigError("head", f"a module of {type(model).__name__}", "one of another model")
    return found


def _candidates(model: nn.Module) -> Iterator[nn.Module]:
    for getter in ("get_output_embeddings", "get_classifier"):
        found = getattr(model, getter, lambda: None)()
        if isinstance(found, nn.Module):
            yield found
    if isinstance(model, nn.Sequential) and len(model) and is_head(model[-1]):
        yield model[-1]
    for name in HEAD_NAMES:
        found = getattr(model, name, None)
        if isinstance(found, nn.Module):
            yield found


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the trained copy of a head that PEFT wraps (``modules_to_save``); any other module as it is."""
    copies, active = getattr(module, "modules_to_save", None), getattr(module, "active_adapter", None)
    if isinstance(copies, nn.ModuleDict):
        name = active if isinstance(active, str) else next(iter(active or copies), "default")
        return copies[name] if name in copies else module  # noqa: SIM401
    return module


def _last_linear(module: nn.Module, num_labels: int | None) -> nn.Module | None:
    """Return the module if it is a head, else the last head inside it."""
    heads = _heads_in(module, num_labels)
    return module if module in heads else next(reversed(heads), None)


def _heads_in(module: nn.Module, num_labels: int | None) -> list[nn.Module]:
    """Return the heads among a module and the modules inside it; ``num_labels`` None: with any number of labels."""
    return [m for m in module.modules() if is_head(m) and num_labels in (None, len(weight_of(m)))]


def weight_of(head: nn.Module) -> Tensor:
    """Return the weight of a head, ``(V, D)``."""
    assert isinstance(head.weight, Tensor)
    return head.weight


def is_head(module: object) -> bool:
    """Return whether a module has a weight of shape ``(V, D)`` and maps hidden states to logits."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)
