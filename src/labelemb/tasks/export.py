"""Exporting a trained classifier: ONNX, a torch.export program, or a folder that transformers loads."""

import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.export import Dim

from labelemb.errors import ConfigError
from labelemb.files import write_atomically, write_text
from labelemb.runs.replace import replace_folder
from labelemb.tasks.classification.pretrained import silence_transformers
from labelemb.tasks.text.pretrained import PretrainedEncoder, PretrainedTokenizer
from labelemb.tasks.text.trained import TrainedTextModel
from labelemb.tasks.vision.pretrained import PretrainedImageModel
from labelemb.tasks.vision.trained import TrainedModel

Format = Literal["onnx", "torch", "hf"]
FORMATS = get_args(Format)
NAMES = {"onnx": "model.onnx", "torch": "model.pt2", "hf": "model"}


class ImageNetwork(nn.Module):
    """Pixels to logits: normalization, model, head and temperature of an image run.

    Args:
        trained: The trained model.
    """

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        facts = trained.preprocessing
        self.model, self.temperature = trained.model, trained.temperature
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(facts.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(facts.std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits ``(N, V)`` of uint8 pixels ``(N, C, H, W)``."""
        images = (pixels.float() / 255 - self.mean) / self.std
        logits: Tensor = self.model.head(self.model(images)) / self.temperature  # type: ignore[operator]
        return logits


class TextNetwork(nn.Module):
    """Token ids to logits: model, head and temperature of a text run.

    Args:
        trained: The trained model.
    """

    def __init__(self, trained: TrainedTextModel) -> None:
        super().__init__()
        self.model, self.temperature = trained.model, trained.temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits ``(N, V)`` of token ids and mask, int64 ``(N, T)``."""
        logits: Tensor = self.model.head(self.model(input_ids, attention_mask)) / self.temperature  # type: ignore[operator]
        return logits


def export_model(trained: TrainedModel | TrainedTextModel, to: str, out: Path | None = None) -> Path:
    """Write a trained classifier for other programs; its logits are those of the run, divided by its temperature.

    Args:
        trained: The trained model, on the CPU.
        to: ``onnx`` (inputs ``pixels``, or ``input_ids`` and ``attention_mask``), ``torch`` (for
            ``torch.export.load``) or ``hf`` (a folder for ``from_pretrained``).
        out: File or folder to write; None: model.onnx, model.pt2 or model.

    Returns:
        What was written.

    Raises:
        ConfigError: If the format is unknown, does not fit the model, or needs a package that is not installed.
    """
    if to not in FORMATS:
        raise ConfigError("to", " or ".join(FORMATS), repr(to))
    path = out or Path(NAMES[to])
    if to == "hf":
        _export_pretrained(trained, path)
        return path
    network, inputs, shapes = _network(trained)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporters warn about their own internals
        program = torch.export.export(network.eval(), inputs, dynamic_shapes=shapes)
        if to == "torch":
            buffer = io.BytesIO()
            torch.export.save(program, buffer)
            content = buffer.getvalue()
        else:
            content = _onnx(program, trained, list(shapes))
    write_atomically(path, lambda file: file.write(content))
    return path


def _network(
    trained: TrainedModel | TrainedTextModel,
) -> tuple[nn.Module, tuple[Tensor, ...], dict[str, dict[int, Any]]]:
    """Return the module to export, example inputs, and which axes of each input are free."""
    batch = Dim("batch", min=1, max=65536)
    if isinstance(trained, TrainedTextModel):
        ids = torch.ones(2, 8, dtype=torch.int64)
        longest = trained.text_config.max_length if trained.text_config.is_pretrained else 2**20
        axes = {0: batch, 1: Dim("tokens", min=1, max=longest)}
        return TextNetwork(trained), (ids, torch.ones_like(ids)), {"input_ids": axes, "attention_mask": axes}
    pixels = torch.zeros(2, *trained.preprocessing.image_shape, dtype=torch.uint8)
    return ImageNetwork(trained), (pixels,), {"pixels": {0: batch}}


def _onnx(program: torch.export.ExportedProgram, trained: TrainedModel | TrainedTextModel, names: list[str]) -> bytes:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        hint = "pip install 'labelemb[onnx]'"
        raise ConfigError("to", "the packages onnx and onnxscript, for onnx", "not installed", hint) from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    exported = torch.onnx.export(program, dynamo=True, input_names=names, output_names=["logits"], verbose=False)
    assert exported is not None
    proto = exported.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "label_names", json.dumps(trained.label_names, ensure_ascii=False)
    content: bytes = proto.SerializeToString()
    return content


def _export_pretrained(trained: TrainedModel | TrainedTextModel, folder: Path) -> None:
    """Write a model of transformers for ``from_pretrained``. Raises ConfigError for any other."""
    model = trained.model
    encoder = getattr(model, "encoder", None)
    known = model.is_transformers if isinstance(model, PretrainedImageModel) else isinstance(encoder, PretrainedEncoder)
    if not known:
        raise ConfigError("to", "onnx or torch: this is not a model of transformers", "'hf'")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("out", "a new or empty folder", str(folder))
    silence_transformers()
    with replace_folder(folder) as filled, _full_disk(folder):
        if isinstance(trained, TrainedModel):
            _export_images(trained, filled)
        else:
            _export_texts(trained, filled)
        for file in filled.iterdir():  # safetensors lets only the user read what it writes
            file.chmod(filled.stat().st_mode & 0o666)


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    """Raise OSError for what safetensors raises when a file cannot be written."""
    try:
        yield
    except SafetensorError as error:
        if found := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) from error
        raise


def _set_labels(config: Any, label_names: Sequence[str]) -> None:
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: index for index, name in enumerate(label_names)}


def _export_images(trained: TrainedModel, folder: Path) -> None:
    """Write the classifier for ``AutoModelForImageClassification.from_pretrained``, and its image processor."""
    model, facts = trained.model, trained.preprocessing
    assert isinstance(model, PretrainedImageModel)
    with model.whole() as network:
        _set_labels(network.config, trained.label_names)
        weights = network.state_dict()
        weights |= {
            f"{model.head_name}.{name}": value / trained.temperature for name, value in model.head.state_dict().items()
        }
        network.save_pretrained(folder, state_dict=weights)  # type: ignore[operator]
    _, height, width = facts.image_shape
    processor = {
        "image_processor_type": "CLIPImageProcessor",  # center crop, resize, normalize
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": min(height, width)},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": facts.mean,
        "image_std": facts.std,
    }
    write_text(folder / "preprocessor_config.json", json.dumps(processor, indent=2) + "\n")


def _export_texts(trained: TrainedTextModel, folder: Path) -> None:
    """Write model, its code and tokenizer for ``AutoModelForSequenceClassification.from_pretrained``."""
    from labelemb.tasks.text.hf_classifier import PooledClassifier, PooledClassifierConfig  # imports transformers

    encoder, head = trained.model.encoder, trained.model.head
    assert isinstance(encoder, PretrainedEncoder)
    assert isinstance(head, nn.Linear)
    assert isinstance(trained.tokenizer, PretrainedTokenizer)
    config = PooledClassifierConfig(
        {key: value for key, value in encoder.encoder.config.to_dict().items() if key != "_name_or_path"},
        encoder.pooling,
        trained.text_config.dropout,
    )
    _set_labels(config, trained.label_names)
    model = PooledClassifier(config)
    model.encoder.load_state_dict(encoder.encoder.state_dict())
    with torch.no_grad():  # a temperature T of the logits is the same as weights divided by T
        model.classifier.weight.copy_(head.weight / trained.temperature)
        model.classifier.bias.copy_(head.bias / trained.temperature)
    PooledClassifierConfig.register_for_auto_class()
    PooledClassifier.register_for_auto_class("AutoModelForSequenceClassification")
    model.save_pretrained(folder)
    tokenizer = trained.tokenizer.tokenizer
    tokenizer.model_max_length = trained.text_config.max_length
    tokenizer.save_pretrained(folder)
