"""Losses of this library as a task of timm's training script.

``timm.task`` describes a task as a module whose ``forward(input, target)`` returns a dict with "loss" and "output".
Older versions of timm have no such class: ``LabelEmbeddingTask`` is an ordinary module with the same methods.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from labelemb.losses.base import Loss
from labelemb.losses.loss_model import LossModel


def pre_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return what enters the classifier of a timm model, ``(N, D)``; its head is not run."""
    features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]
    return features


class LabelEmbeddingTask(LossModel):
    """A timm model and a loss of this library as one task.

    Args:
        model: A model of timm, whose classifier is a linear layer.
        loss: A loss of this library.

    Example:
        ```python
        model = timm.create_model("resnet50", num_classes=100)
        optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3)
        task = LabelEmbeddingTask(model, LabelEmbeddingLoss(model.num_features, 100).attach(optimizer))
        result = task(images, labels)
        result["loss"].backward()
        ```
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__(model, loss, hidden=pre_logits)

    def forward(self, input: Tensor, target: Tensor | None = None, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return "loss" and "output" (logits) of a batch; without a target the output alone.

        Args:
            input: Images, ``(N, C, H, W)``.
            target: int64 labels, ``(N,)``.
            **kwargs: ``num_items_in_batch`` and ``index``, see ``LossModel.forward``.
        """
        found = super().forward(input, labels=target, **kwargs)
        return {"output" if name == "logits" else name: value for name, value in found.items()}

    def get_eval_model(self, use_ema: bool = True) -> nn.Module:
        """Return the bare model."""
        return self.model

    def get_task_state(self) -> dict[str, Any]:
        """Return the state of the loss, to be saved with that of the model."""
        self.loss.sync()
        return {"loss": self.loss.state_dict()}

    def load_task_state(self, state: dict[str, Any], strict: bool = True) -> None:
        """Restore what ``get_task_state`` returned."""
        self.loss.load_state_dict(state["loss"], strict=strict)

    def prepare_distributed(self, device_ids: list[Any] | None = None, **ddp_kwargs: Any) -> nn.Module:
        """Return this task under DistributedDataParallel."""
        return DistributedDataParallel(self, device_ids=device_ids, **ddp_kwargs) if _is_distributed() else self


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
