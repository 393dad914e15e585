"""Warnings about training in which a loss cannot do its work, given once each."""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labelemb.terms.objective import Objective
from labelemb.terms.shard import is_dtensor

if TYPE_CHECKING:
    from labelemb.losses.base import Loss

CHECK_AFTER = 300  # training calls; more than any optimizer step has micro-batches
EMBEDDING_CHECK_AFTER = 1000  # training calls, where nobody calls epoch_end()
SAMPLES = 2048  # numbers of each parameter that are remembered
MIN_CHANGE = 0.1  # of any logit of the label embedding: below, its soft labels are those of its initialization


class TrainingMonitor:
    """Counts the training calls of a loss and compares its parameters with those of the first call."""

    def __init__(self) -> None:
        self.calls = self._detached_calls = 0
        self._start: dict[str, Tensor] = {}
        self._embedding_checked = False

    def record(self, loss: "Loss", hidden: Tensor) -> None:
        """Count a training call; check the parameters after ``CHECK_AFTER`` of them."""
        self.calls += 1
        self._detached_calls += not hidden.requires_grad
        if self.calls == 1:
            self._start = {name: _sample(p) for name, p in loss.named_parameters() if p.requires_grad}
        if self.calls == CHECK_AFTER:
            self._check_hidden(loss)
            self._check_updates(loss)
            self._check_steps(loss)
        if self.calls == EMBEDDING_CHECK_AFTER:
            self.check_embedding(loss)

    def end_epoch(self, loss: "Loss") -> None:
        """Check the label embedding at the end of an epoch, once there were enough calls."""
        if self.calls >= CHECK_AFTER:
            self.check_embedding(loss)

    def check_embedding(self, loss: "Loss") -> None:
        """Warn once where a label embedding that is trained has not left its initialization."""
        if self._embedding_checked:
            return
        self._embedding_checked = True
        changes = [change for name, change in self._changes(loss).items() if name.startswith("embedding.")]
        if changes and 0 < max(changes) < MIN_CHANGE:
            _warn(
                f"label embedding: expected a change of its logits of {MIN_CHANGE} or more by now, got "
                f"{max(changes):.2g} in {self.calls} training calls: its soft labels are those it started with. Use "
                "loss.attach(optimizer), or give loss.parameters() a higher learning rate"
            )

    def _check_updates(self, loss: "Loss") -> None:
        changes = self._changes(loss)
        has_gradient = any(p.grad is not None and bool(p.grad.any()) for p in loss.parameters())
        if changes and has_gradient and not any(changes.values()):
            _warn(
                f"{type(loss).__name__}: expected an optimizer that trains its parameters, got none in {CHECK_AFTER} "
                "training calls. Use loss.attach(optimizer)"
            )

    def _check_hidden(self, loss: "Loss") -> None:
        if self._detached_calls == CHECK_AFTER:
            _warn(
                f"hidden: expected a tensor with a gradient, got detached ones in {CHECK_AFTER} training calls: only "
                f"the head learns. Hand over hidden without detach() and no_grad(); ignore this for a linear probe"
            )

    def _check_steps(self, loss: "Loss") -> None:
        objective = getattr(loss, "objective", None)
        if isinstance(objective, Objective) and objective.depends_on_step and not getattr(loss, "steps", 0):
            _warn(
                f"soft_start, soft_end: expected optimizer steps to be counted, got none in {CHECK_AFTER} training "
                "calls. Use loss.attach(optimizer), or call loss.step() after each optimizer.step()"
            )

    def _changes(self, loss: nn.Module) -> dict[str, float]:
        """Return name -> largest change of the remembered numbers of each parameter."""
        now = {name: _sample(p) for name, p in loss.named_parameters() if name in self._start}
        return {
            name: float((sample - self._start[name].to(sample.device)).abs().max())
            for name, sample in now.items()
            if sample.shape == self._start[name].shape and sample.numel()
        }


def _sample(parameter: Tensor) -> Tensor:
    """Return a copy of about ``SAMPLES`` numbers of a parameter, of a square matrix the diagonal among them."""
    local = parameter.detach()
    if is_dtensor(local):
        local = local.to_local()  # this process's part
    flat = local.reshape(-1)
    picked = [flat[:: max(1, flat.numel() // SAMPLES)]]
    if local.dim() == 2 and local.shape[0] == local.shape[1]:
        picked.append(local.diagonal()[:SAMPLES])
    return torch.cat(picked).clone()


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=7)  # record, forward, two of nn.Module's __call__, then the caller
