"""Logits of a ``Trainer``'s model, whatever the trainer's class. N examples, V labels."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer

from labelemb.errors import ConfigError
from labelemb.losses.loss_model import LossModel


def bare_model(trainer: Trainer) -> nn.Module:
    """Return the model itself, without the loss and the wrappers of distributed training."""
    model: nn.Module = trainer.accelerator.unwrap_model(trainer.model)
    return model.model if isinstance(model, LossModel) else model


def predicted(trainer: Trainer, dataset: Any, argument: str) -> tuple[Tensor, Tensor]:
    """Return logits ``(N, V)`` and labels ``(N,)`` of a data set.

    Args:
        trainer: A trainer of a model with one label per example.
        dataset: Data as ``trainer.predict`` takes it.
        argument: The caller's name for the data set, for error messages.

    Raises:
        ConfigError: For another kind of task.
    """
    output = trainer.predict(dataset)
    logits = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
    labels = output.label_ids
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or np.ndim(logits) != 2:
        found = f"predictions of shape {np.shape(logits)} and labels of shape {np.shape(labels)}"
        raise ConfigError(argument, "one label per example, with logits of all labels", found)
    return torch.from_numpy(np.asarray(logits, dtype=np.float32)), torch.from_numpy(labels.astype(np.int64))
