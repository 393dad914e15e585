"""Attach a loss to an optimizer: a parameter group of its own, and its steps counted."""

import math
import weakref
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from labelemb.errors import ConfigError

if TYPE_CHECKING:
    from labelemb.losses.base import Loss

# Measured on digits (docs/training-loop.md): at the rates of fine-tuning a label embedding stays where it starts.
TRAINING_RATE = 1e-3  # that of the published programs
FINE_TUNING_RATE = 1e-2


class StepCounter:
    """Post-step hook of an optimizer: calls ``loss.step()`` unless a GradScaler skipped the step.

    A fused optimizer gets ``found_inf`` from the GradScaler and runs its hooks even where it skips; with other
    optimizers the GradScaler does not call ``step`` at all.
    """

    def __init__(self, loss: "Loss") -> None:
        self.loss = weakref.ref(loss)

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Called by the optimizer after each step."""
        loss, found_inf = self.loss(), getattr(optimizer, "found_inf", None)
        if loss is not None and (found_inf is None or not float(found_inf)):
            loss.step()


def attach_loss(loss: "Loss", optimizer: Optimizer, lr: float | None) -> None:
    """See ``Loss.attach``."""
    if not isinstance(optimizer, Optimizer) or not hasattr(optimizer, "_optimizer_step_post_hooks"):
        hint = "Attach to the optimizer itself, before Accelerate or another library wraps it"
        raise ConfigError("optimizer", "a torch.optim.Optimizer", type(optimizer).__name__, hint)
    check_learning_rate("lr", lr)
    hooks = optimizer._optimizer_step_post_hooks.values()
    attached = any(isinstance(hook, StepCounter) and hook.loss() is loss for hook in hooks)
    parameters = {name: p for name, p in loss.named_parameters() if p.requires_grad}
    if parameters:
        group = _group_of(optimizer, parameters)
        if "weight_decay" in group:
            group["weight_decay"] = 0.0
        if not attached or lr is not None:
            _set_learning_rate(optimizer, group, lr)
    if not attached:
        optimizer.register_step_post_hook(StepCounter(loss))


def check_learning_rate(argument: str, lr: object) -> None:
    """Raise ConfigError unless ``lr`` is a number above 0, or None."""
    number = isinstance(lr, Real | Tensor) and not isinstance(lr, bool)
    if lr is not None and not (number and 0 < float(lr) < math.inf):  # type: ignore[arg-type]
        raise ConfigError(argument, "a learning rate > 0, or None", repr(lr))


def _group_of(optimizer: Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the group that holds exactly these parameters, made if need be."""
    ids = {id(p) for p in parameters.values()}
    for group in optimizer.param_groups:
        if {id(p) for p in group["params"]} == ids:
            return group
    if _has_scheduler(optimizer):
        hint = "Call loss.attach(optimizer) before making the scheduler"
        raise ConfigError("optimizer", "no learning-rate scheduler yet", "an optimizer with one", hint)
    named = "param_names" in optimizer.param_groups[0]
    for group in optimizer.param_groups:
        kept = [number for number, p in enumerate(group["params"]) if id(p) not in ids]
        for key in ("params", "param_names"):
            if key in group:
                group[key] = [group[key][number] for number in kept]
    new = [(f"loss.{name}", p) for name, p in parameters.items()] if named else list(parameters.values())
    optimizer.add_param_group({"params": new})
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    return optimizer.param_groups[-1]


def _set_learning_rate(optimizer: Optimizer, group: dict[str, Any], lr: float | None) -> None:
    """Set the learning rate of the loss's group; with a scheduler in charge and no lr given leave it alone."""
    old = group.get("lr")
    if lr is None:
        own = old != optimizer.defaults.get("lr")  # the user chose one for this group
        if own or not isinstance(old, float | int | Tensor) or _has_scheduler(optimizer):
            return
        lr = max(float(other["lr"]) for other in optimizer.param_groups)
        if lr < TRAINING_RATE:
            lr = FINE_TUNING_RATE
    group["lr"] = torch.full_like(old, lr) if isinstance(old, Tensor) else lr
    if "initial_lr" in group:
        group["initial_lr"] = group["lr"]


def _has_scheduler(optimizer: Optimizer) -> bool:
    return hasattr(optimizer.step, "_wrapped_by_lr_sched")  # set by torch's LRScheduler
