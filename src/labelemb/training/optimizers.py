"""Optimizers, and learning-rate schedules as pure functions of the step: nothing to save, nothing to resume."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.optim import Optimizer

from labelemb.errors import Choices
from labelemb.losses.base import Loss
from labelemb.terms.shard import is_dtensor

OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "step", "cosine", "one-cycle", "linear"]


@dataclass(frozen=True)
class OptimizerSettings:
    """Options of the optimizer and its learning-rate schedule.

    Args:
        optimizer: ``adam`` (betas 0.9, 0.999, eps 1e-8), ``adamw`` (decoupled weight decay, of matrices only) or
            ``sgd`` (Nesterov momentum).
        learning_rate: Peak learning rate.
        head_learning_rate: Peak learning rate of the model's ``head``; None: ``learning_rate``.
        loss_learning_rate: Peak learning rate of the loss's parameters (label embedding, auxiliary head); None:
            ``learning_rate``.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of the model's parameters. The loss's parameters get none: it would pull the label
            embedding to uniform.
        max_grad_norm: Maximum norm of all gradients together, those of the loss included; 0 disables clipping.
        schedule: ``constant``; ``step``: times ``decay_factor`` every ``decay_every`` epochs; ``cosine`` to 0;
            ``one-cycle``: linear warm-up from a 25th over the first 30 % of the steps, then cosine to 0; ``linear``:
            linear warm-up over the first ``warmup`` of the steps, then linear decay to 0.
        warmup: Fraction of the steps that the ``linear`` schedule warms up.
        decay_factor: Factor of the ``step`` schedule.
        decay_every: Epochs between two decays of the ``step`` schedule.

    Raises:
        ConfigError: Naming every invalid option.
    """

    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    head_learning_rate: float | None = None
    loss_learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    max_grad_norm: float = 0.0
    schedule: Schedule = "constant"
    warmup: float = 0.1
    decay_factor: float = 0.2
    decay_every: int = 40

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            choices.expect_one_of("optimizer", self.optimizer, get_args(OptimizerName))
            choices.expect_one_of("schedule", self.schedule, get_args(Schedule))
            for name in ("learning_rate", "head_learning_rate", "loss_learning_rate"):
                rate = getattr(self, name)
                choices.expect(rate is None or 0 < rate < math.inf, name, "a number > 0", rate)
            choices.expect(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
            choices.expect(0 <= self.warmup < 1, "warmup", "a fraction from 0 to below 1", self.warmup)
            for name in ("weight_decay", "max_grad_norm", "decay_factor"):
                choices.expect(getattr(self, name) >= 0, name, "a number >= 0", getattr(self, name))
            choices.expect(self.decay_every >= 1, "decay_every", "a number of epochs >= 1", self.decay_every)


def build_optimizer(model: nn.Module, loss: Loss, settings: OptimizerSettings) -> Optimizer:
    """Return one optimizer over model and loss; the loss is attached (``Loss.attach``), so its steps are counted.

    Each parameter group has ``lr_scale``, the ratio of its learning rate to ``settings.learning_rate``.
    """
    groups = [group for group in _groups(model, loss, settings) if group["params"]]
    rate, momentum = settings.learning_rate, settings.momentum
    optimizer: Optimizer
    match settings.optimizer:
        case "adam":
            optimizer = torch.optim.Adam(groups, lr=rate, fused=True)
        case "adamw":
            optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
        case "sgd":
            # PyTorch's fused SGD takes no DTensors.
            fused = not any(is_dtensor(p) for group in groups for p in group["params"])
            optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=fused)
    loss.attach(optimizer, lr=rate)  # the loop sets the learning rates at each step
    return optimizer


def _groups(model: nn.Module, loss: nn.Module, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Return parameter groups: model (with its head apart where the rates differ), then loss."""
    head = model.head if settings.head_learning_rate is not None else None
    in_head = {id(parameter) for parameter in head.parameters()} if isinstance(head, nn.Module) else set()
    body = [parameter for parameter in model.parameters() if id(parameter) not in in_head]
    parts: list[tuple[Iterable[nn.Parameter], float | None, float]] = [(body, None, settings.weight_decay)]
    if isinstance(head, nn.Module):
        parts.append((head.parameters(), settings.head_learning_rate, settings.weight_decay))
    if settings.optimizer == "adamw":  # biases and normalization layers are not decayed
        parts = [
            part
            for parameters, rate, decay in parts
            for trained in [list(parameters)]
            for part in (
                ([p for p in trained if p.ndim >= 2], rate, decay),
                ([p for p in trained if p.ndim < 2], rate, 0.0),
            )
        ]
    parts.append((loss.parameters(), settings.loss_learning_rate, 0.0))
    return [
        {
            "params": [p for p in parameters if p.requires_grad],
            "weight_decay": decay,
            "lr_scale": 1.0 if rate is None else rate / settings.learning_rate,
        }
        for parameters, rate, decay in parts
    ]


def learning_rate_at(step: int, total_steps: int, steps_per_epoch: int, settings: OptimizerSettings) -> float:
    """Return the learning rate of a step, counted from 0, before ``lr_scale``."""
    progress = step / total_steps
    match settings.schedule:
        case "constant":
            factor = 1.0
        case "step":
            factor = settings.decay_factor ** (step // steps_per_epoch // settings.decay_every)
        case "cosine":
            factor = _half_cosine(progress)
        case "one-cycle":
            warm = 0.3
            factor = 0.04 + 0.96 * progress / warm if progress < warm else _half_cosine((progress - warm) / (1 - warm))
        case "linear":
            warm_steps = settings.warmup * total_steps
            factor = (step + 1) / (warm_steps + 1) if step < warm_steps else (1 - progress) / (1 - settings.warmup)
    return settings.learning_rate * factor


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2
