"""Optimisers, and learning-rate schedules as pure functions of the step: nothing to save, nothing to resume."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn
from torch.optim import Optimizer

from labelemb.errors import Choices

OptimizerName = Literal["adam", "sgd"]
Schedule = Literal["constant", "step", "cosine", "one-cycle"]


@dataclass(frozen=True)
class OptimizerSettings:
    """How the parameters move.

    optimizer      adam (betas 0.9, 0.999, eps 1e-8) or sgd (Nesterov momentum)
    learning_rate  its peak
    momentum       of sgd
    weight_decay   of the model's parameters; those of the loss never get any: it would pull E to uniform
    max_grad_norm           largest norm of all gradients together, model and loss; 0: no clipping
    schedule       constant; step: times ``decay_factor`` every ``decay_every`` epochs; cosine to 0; one-cycle: up
                   linearly over the first 30 % of the steps from a 25th, then cosine to 0
    """

    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    max_grad_norm: float = 0.0
    schedule: Schedule = "constant"
    decay_factor: float = 0.2
    decay_every: int = 40

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_one_of("optimizer", self.optimizer, get_args(OptimizerName))
            choices.expect_one_of("schedule", self.schedule, get_args(Schedule))
            choices.expect(self.learning_rate > 0, "learning_rate", "a number > 0", self.learning_rate)
            choices.expect(0 <= self.momentum < 1, "momentum", "a number from 0 to below 1", self.momentum)
            for name in ("weight_decay", "max_grad_norm", "decay_factor"):
                choices.expect(getattr(self, name) >= 0, name, "a number >= 0", getattr(self, name))
            choices.expect(self.decay_every >= 1, "decay_every", "a number of epochs >= 1", self.decay_every)


def build_optimizer(model: nn.Module, loss: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """Return one optimiser over model and loss, in two groups: weight decay for the model's parameters alone."""
    groups = [
        {"params": [p for p in module.parameters() if p.requires_grad], "weight_decay": decay}
        for module, decay in ((model, settings.weight_decay), (loss, 0.0))
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
    return torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True
    )


def learning_rate_at(step: int, total_steps: int, steps_per_epoch: int, settings: OptimizerSettings) -> float:
    """Return the learning rate of a step, counted from 0."""
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
    return settings.learning_rate * factor


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2
