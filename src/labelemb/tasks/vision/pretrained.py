"""Pretrained image models of transformers and timm: images ``(N, C, H, W)`` to hidden states ``(N, D)``, one head."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError
from labelemb.losses.head_search import check_logits_unchanged, find_head
from labelemb.tasks.classification.pretrained import (
    HEAD_STD,
    PREFIX,
    build_from_config,
    load_pretrained,
    pretrained_source,
)

TIMM = "timm:"
DEFAULT_SIZE = 224


def is_pretrained(model: str) -> bool:
    """Return whether ``--model`` names a pretrained model."""
    return any(model.startswith(prefix) and len(model) > len(prefix) for prefix in (PREFIX, TIMM))


class PretrainedImageModel(nn.Module):
    """A classifier of transformers or timm whose linear head is ``head``.

    Args:
        network: The classifier; its head is replaced by the identity, so that it returns hidden states.
        num_labels: V.
        options: Keyword arguments of the network's forward.

    Raises:
        ConfigError: If it has no linear head, or changes the logits after it.
    """

    def __init__(self, network: nn.Module, num_labels: int, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        head = find_head(network, None, num_labels)
        if not isinstance(head, nn.Linear):
            raise ConfigError("model", "a classifier that ends in one nn.Linear", type(head).__name__)
        check_logits_unchanged(network)
        self.head_name = next(name for name, module in network.named_modules() if module is head)
        network.set_submodule(self.head_name, nn.Identity())
        self.network, self.head, self.options = network, head, options or {}
        nn.init.normal_(head.weight, std=HEAD_STD)
        if head.bias is not None:
            nn.init.zeros_(head.bias)

    def save_config(self, folder: Path) -> None:
        """Write the configuration that a model of transformers is built from; timm needs the name alone."""
        if self.is_transformers:
            self.network.config.save_pretrained(folder)  # type: ignore[operator, union-attr]

    @property
    def is_transformers(self) -> bool:
        """Whether the network is a model of transformers."""
        return hasattr(self.network, "save_pretrained")

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """Return the classifier as its library knows it, with its head, while the block runs."""
        self.network.set_submodule(self.head_name, self.head)
        try:
            yield self.network
        finally:
            self.network.set_submodule(self.head_name, nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to hidden states ``(N, D)``."""
        found = self.network(images, **self.options)
        hidden: Tensor = found if isinstance(found, Tensor) else found.logits
        return hidden


@dataclass(frozen=True)
class InputSpec:
    """How the images of a pretrained model are prepared.

    Attributes:
        size: Side length of the images, in pixels.
        mean: Mean per channel of pixels in [0, 1]; None: unknown.
        std: Standard deviation per channel; None: unknown.
    """

    size: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def input_spec(model: str) -> InputSpec:
    """Return how a model's images are prepared, by its image processor (``preprocessor_config.json``) or timm's config.

    Args:
        model: ``hf:DIR_OR_ID`` or ``timm:NAME``.

    Raises:
        ConfigError: If the library is not installed.
        DataError: If there is no such model.
    """
    if model.startswith(TIMM):
        config = _call_timm("get_pretrained_cfg", model.removeprefix(TIMM))
        return InputSpec(int(config.input_size[-1]), tuple(config.mean), tuple(config.std))
    source = pretrained_source(model)
    config = load_pretrained("AutoConfig", source, "the configuration of a model")
    processor = _image_processor(source)
    crop = processor.get("crop_size") if processor.get("do_center_crop", True) else None
    candidates = (_side(value) for value in (crop, processor.get("size"), getattr(config, "image_size", None)))
    size = next((side for side in candidates if side is not None), DEFAULT_SIZE)
    if processor.get("do_normalize", bool(processor)) is False:
        return InputSpec(size, None, None)
    return InputSpec(size, *(_channel_values(processor.get(key)) for key in ("image_mean", "image_std")))


def build_pretrained(
    model: str, image_shape: tuple[int, int, int], num_labels: int, saved: str | None = None
) -> PretrainedImageModel:
    """Return a pretrained model with a new head.

    Args:
        model: ``hf:DIR_OR_ID`` or ``timm:NAME``.
        image_shape: ``(C, H, W)``.
        num_labels: V.
        saved: Folder with the configuration, to build the model with random weights; None: load pretrained weights.

    Raises:
        ConfigError: If the library is not installed, or the model does not fit the images.
        DataError: If the model cannot be loaded.
    """
    if model.startswith(TIMM):
        name = model.removeprefix(TIMM)
        network = _call_timm("create_model", name, pretrained=saved is None, num_classes=num_labels)
        return PretrainedImageModel(network, num_labels)
    if saved is not None:
        network = build_from_config("AutoModelForImageClassification", saved, num_labels=num_labels)
        return _fitted(network, image_shape, num_labels)
    source = pretrained_source(model)
    network, info = load_pretrained(
        "AutoModelForImageClassification",
        source,
        "a pretrained image model with safetensors weights",
        num_labels=num_labels,
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    found = _fitted(network.float(), image_shape, num_labels)
    kept = [key for key in info["missing_keys"] if key.endswith("weight") and not key.startswith(found.head_name)]
    if kept:
        got = f"none for {len(kept)} of them, such as {min(kept)}"
        raise DataError("model", f"weights for all layers of {type(network).__name__} in {source}", got)
    return found


def check_images_fit(model: PretrainedImageModel, image_shape: tuple[int, int, int]) -> None:
    """Raise ConfigError if the model cannot process images ``(C, H, W)``."""
    training = model.training
    try:
        with torch.no_grad():
            hidden = model.eval()(torch.zeros(1, *image_shape))
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        channels, height, width = image_shape
        expected = f"a model for images of {height}x{width} with {channels} channels"
        raise ConfigError("model", expected, reason, "--image_size sets the size") from error
    finally:
        model.train(training)
    if hidden.shape != (1, model.head.in_features):
        expected = f"a model with hidden states of {model.head.in_features} features in front of its head"
        raise ConfigError("model", expected, f"shape {tuple(hidden.shape[1:])}")


def _fitted(network: Any, image_shape: tuple[int, int, int], num_labels: int) -> PretrainedImageModel:
    """Wrap a network of transformers; position embeddings are interpolated where the images have another size."""
    side = _side(getattr(network.config, "image_size", None))
    interpolates = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
    other = side is not None and image_shape[1:] != (side, side)
    options = {"interpolate_pos_encoding": True} if interpolates and other else None
    return PretrainedImageModel(network, num_labels, options)


def _image_processor(source: str) -> dict[str, Any]:
    """Return the image processor's config; empty where there is none."""
    from transformers.image_processing_base import ImageProcessingMixin

    read: Callable[[str], tuple[dict[str, Any], Any]] = ImageProcessingMixin.get_image_processor_dict
    try:
        return read(source)[0]
    except (OSError, ValueError):  # transformers has no other answer for a missing file
        return {}


def _side(size: object) -> int | None:
    """Return the side length of a size as transformers writes it: a number, two, or a dict of named sides."""
    if isinstance(size, dict):
        size = next((size[key] for key in ("height", "shortest_edge") if key in size), None)
    if isinstance(size, list | tuple) and size:
        size = size[0]
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 1 else None


def _channel_values(values: object) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise DataError("model", "image_mean and image_std with a number per channel", values)
    return tuple(map(float, values))


def _call_timm(function: str, name: str, **options: Any) -> Any:
    try:
        import timm
    except ImportError as error:
        hint = "pip install timm, or use hf:DIR_OR_ID"
        raise ConfigError("model", "the package 'timm', for timm: models", "not installed", hint) from error
    try:
        found = getattr(timm, function)(name, **options)
        if found is None:
            raise ValueError("no such model")
    except Exception as error:  # the network, the hub and many readers can fail below
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError("model", f"a model of timm named {name}", reason) from error
    return found
