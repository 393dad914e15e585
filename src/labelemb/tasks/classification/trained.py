"""The part of a trained classifier that images and texts share. N examples, V labels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from labelemb.documents import parse_json, read_bounded
from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.training.checkpoint import load_checkpoint, load_weights

Checkpoint = Literal["last", "best"]


class TrainedClassifier:
    """The model of a run folder, in evaluation mode. Nothing in the folder is executed.

    Args:
        run: A run folder.
        label_names: The V label names.
        model: A model of the run's architecture; its weights are replaced by those of the checkpoint.
        checkpoint: ``last`` (the one that is reported) or ``best`` on the validation data.
        device: Torch device.

    Raises:
        DataError: If the run has no such checkpoint, or one of another model.
    """

    def __init__(
        self, run: RunFolder, label_names: Sequence[str], model: nn.Module, checkpoint: Checkpoint, device: str
    ) -> None:
        self.run, self.config, self.label_names = run, run.config(), tuple(label_names)
        self.device = torch.device(device)
        file = checkpoint_file(run, checkpoint)
        load_weights(model, load_checkpoint(file), "model", file)
        self.model = model.to(self.device).eval()

    @property
    def temperature_file(self) -> Path:
        """Where a fitted temperature is kept."""
        return self.run.path / "temperature.json"

    @property
    def temperature(self) -> float:
        """Temperature that predictions divide the logits by: the fitted one of the run, or 1.

        Raises:
            DataError: If the file of the temperature is damaged.
        """
        if not self.temperature_file.is_file():
            return 1.0
        expected = '{"temperature": a number > 0}'
        content = parse_json(read_bounded(self.temperature_file, expected), str(self.temperature_file), expected)
        value = content.get("temperature") if isinstance(content, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise DataError(str(self.temperature_file), expected, content)
        return float(value)

    def keep_temperature(self, temperature: float) -> None:
        """Keep a fitted temperature in the run folder; predictions and exported models use it."""
        write_text(self.temperature_file, json.dumps({"temperature": temperature}) + "\n")

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the precision that the run was trained in."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.get("precision", "fp32"))
        return torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def checkpoint_file(run: RunFolder, checkpoint: Checkpoint) -> Path:
    """Return the file of a checkpoint.

    Raises:
        DataError: If the run has none.
    """
    file = run.best_checkpoint if checkpoint == "best" else run.last_checkpoint
    if not file.is_file():
        hint = "The run held out no validation data" if checkpoint == "best" else ""
        raise DataError(str(file), "a checkpoint", "no such file", hint)
    return file


def read_data_file(run: RunFolder, what: str) -> Mapping[str, Any]:
    """Read data.json of a run folder: what the model must know about its input.

    Args:
        run: A run folder.
        what: Description of the expected content, for error messages.

    Raises:
        DataError: If the file is missing or is not a JSON object.
    """
    file = run.data_file
    if not file.exists():
        raise DataError(str(file), what, "no such file", "It is written after the first epoch")
    content = parse_json(read_bounded(file, what), str(file), what)
    if not isinstance(content, dict):
        raise DataError(str(file), what, type(content).__name__)
    return content
