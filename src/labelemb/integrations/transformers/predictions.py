"""Logits of a ``Trainer``'s model, whatever the trainer's class. N examples, V labels."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer

from labelemb.errors import ConfigError, DataError
from labelemb.losses.loss_model import LossModel


def check_trainer(trainer: object) -> None:
    """Raise ConfigError unless ``trainer`` is one of transformers."""
    if not isinstance(trainer, Trainer):
        raise ConfigError("trainer", "a Trainer of transformers", type(trainer).__name__)


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
        ConfigError: For another kind of task, and for another type of ``trainer`` or ``dataset``.
        DataError: The data set is empty or has no labels.
    """
    check_trainer(trainer)
    if isinstance(dataset, str | Path) or not (hasattr(dataset, "__getitem__") or hasattr(dataset, "__iter__")):
        raise ConfigError(argument, "a data set, as trainer.predict takes it", type(dataset).__name__)
    if hasattr(dataset, "__len__") and not len(dataset):
        raise DataError(argument, "at least one example", "none")
    if trainer.args.prediction_loss_only:
        raise ConfigError("prediction_loss_only", "False, so that predictions are kept", True)
    output = trainer.predict(dataset)
    logits = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
    labels = output.label_ids
    if labels is None:
        hint = f"The trainer looks for {', '.join(trainer.label_names)}"
        raise DataError(argument, "examples with labels", "none", hint)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or np.ndim(logits) != 2:
        found = f"predictions of shape {np.shape(logits)} and labels of shape {np.shape(labels)}"
        raise ConfigError(argument, "one label per example, with logits of all labels", found)
    return torch.from_numpy(np.asarray(logits, dtype=np.float32)), torch.from_numpy(labels.astype(np.int64))
