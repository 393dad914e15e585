"""Configuration of image-classification runs."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, get_args

from labelemb.errors import Choices
from labelemb.tasks.classification.config import ClassificationConfig
from labelemb.tasks.classification.pretrained import PREFIX, PRETRAINED_RATES, learning_rates
from labelemb.tasks.vision import datasets
from labelemb.tasks.vision.augmentation import Augment, AugmentOptions, AutoAugment
from labelemb.tasks.vision.datasets import DataOptions
from labelemb.tasks.vision.datasets.cifar_archives import Level
from labelemb.tasks.vision.datasets.decode import MAX_PIXELS
from labelemb.tasks.vision.models import MODELS
from labelemb.tasks.vision.pretrained import input_spec, is_pretrained
from labelemb.terms.objective import Reduction
from labelemb.training.optimizers import OptimizerSettings

SCRATCH_RATES = (1e-3, None, None)

CHANNEL_BLOCK = 8
LARGEST_SIDE = math.isqrt(MAX_PIXELS)


@dataclass(frozen=True)
class VisionConfig(ClassificationConfig):
    """Configuration of an image-classification run; the presets are values of it.

    The options shared by all tasks are documented in ``TrainingConfig`` and ``ClassificationConfig``.

    Args:
        dataset: ``digits``, ``mnist``, ``cifar10`` or ``cifar100``; ``imagefolder:PATH`` or ``hub:ID`` for own images.
        label_level: Labels of CIFAR-100: ``fine`` (100) or ``coarse`` (20).
        image_size: Side length that own images are center-cropped and resized to; null: that of the pretrained model,
            else 32.
        validate: Whether to hold out a stratified tenth of the training images for validation; null: as published
            for a named data set, true for own images.
        images_per_label: Maximum number of training images per label; null: all.
        skip_damaged: Whether own images that cannot be read are named, counted and left out instead of ending the run.
        augment: Augmentation of training images: ``none``, ``crop-flip`` (pad 4, random crop, horizontal flip) or
            ``resized-crop-flip`` (random crop resized to the image size, horizontal flip).
        crop_area: Smallest share of the image that a crop of ``resized-crop-flip`` covers, above 0 and up to 1.
        auto_augment: ``none``, or ``trivial``: TrivialAugment, one random change of geometry or color per image.
        random_erasing: Probability that a rectangle of a training image is replaced by the mean color, 0 to 1.
        mixup: Mixup Beta(a, a) parameter; 0 disables. Only for methods that take mixed targets.
        cutmix: CutMix Beta(a, a) parameter; 0 disables. With mixup also on, each batch uses one of the two.
        model: ``mlp``, ``cnn``, ``resnet8`` or ``resnet18`` (trained from scratch), or a pretrained model:
            ``hf:DIR_OR_ID`` (transformers) or ``timm:NAME``.
        width: Width of the layers of models trained from scratch; null: the published width.
        learning_rate: Peak learning rate; null: 1e-3 for models trained from scratch, 5e-5 for pretrained models.
        head_learning_rate: Peak learning rate of the classifier; null: ``learning_rate``, or 2e-3 for pretrained
            models.
        loss_learning_rate: Peak learning rate of the label embedding; null: ``learning_rate``, or 1e-2 for pretrained
            models.
        warmup: Fraction of the steps that the ``linear`` schedule warms up.
        reduction: ``mean`` (published for images: the cap term is a sum over rows) or ``token`` (every term is
            divided by the number of rows).
        channels_last: Whether images and convolutions use the channels-last memory format.
        compile: Whether to compile the model with ``torch.compile``; needs a C++ compiler.

    Raises:
        ConfigError: Naming every invalid option.
    """

    dataset: str = "digits"
    label_level: Level = "fine"
    image_size: int | None = None
    validate: bool | None = None
    images_per_label: int | None = None
    skip_damaged: bool = False
    augment: Augment = "none"
    crop_area: float = 0.08
    auto_augment: AutoAugment = "none"
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    model: str = "mlp"
    width: int | None = None
    learning_rate: float | None = 1e-3  # type: ignore[assignment]
    head_learning_rate: float | None = None
    loss_learning_rate: float | None = None
    warmup: float = 0.1
    reduction: Reduction = "mean"
    channels_last: bool = True
    compile: bool = False

    def check_values(self, choices: Choices) -> None:
        """Record invalid options."""
        known = not self.dataset or datasets.is_known(self.dataset)
        choices.expect(known, "dataset", datasets.NAMES, repr(self.dataset))
        choices.expect_one_of("label_level", self.label_level, get_args(Level))
        choices.expect_one_of("augment", self.augment, get_args(Augment))
        choices.expect_one_of("auto_augment", self.auto_augment, get_args(AutoAugment))
        self.augment_options.check_values(choices)
        known = self.model in MODELS or self.is_pretrained
        hint = f"A pretrained model: hf:{self.model} or timm:{self.model}" if ":" not in self.model else ""
        choices.expect(known, "model", f"{', '.join(MODELS)}, hf:DIR_OR_ID or timm:NAME", repr(self.model), hint)
        for name in ("width", "image_size", "images_per_label"):
            value = getattr(self, name)
            choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
        size = self.image_size
        choices.expect(size is None or size <= LARGEST_SIDE, "image_size", f"at most {LARGEST_SIDE:,}", size)
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            choices.expect(0 <= value < float("inf"), name, "a number >= 0", value)
        super().check_values(choices)

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def in_channels_last(self) -> bool:
        """Whether the model computes in the channels-last format.

        Only with widths that are a multiple of 8: with others, on CPUs without AVX-512, oneDNN's backward convolutions
        of torch 2.13 write outside their memory ("double free or corruption").
        """
        return self.channels_last and (self.width or CHANNEL_BLOCK) % CHANNEL_BLOCK == 0

    @property
    def is_pretrained(self) -> bool:
        """Whether the model is a pretrained one."""
        return is_pretrained(self.model)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the options of the optimizer, with learning rates that suit the model."""
        return self.values_of(OptimizerSettings, **self._learning_rates())

    @property
    def files(self) -> dict[str, Path]:
        """Return the input files of a run: option -> file."""
        weights = Path(self.model.removeprefix(PREFIX)).expanduser() / "model.safetensors"
        local = self.model.startswith(PREFIX) and weights.is_file()
        return super().files | ({"model": weights} if local else {})

    def resolved(self) -> Self:
        """Return the config with every automatic choice made.

        Raises:
            ConfigError: The library of a pretrained model is not installed.
            DataError: There is no such pretrained model.
        """
        changes: dict[str, Any] = self._learning_rates()
        if self.is_pretrained:
            own = self.dataset not in datasets.DATASETS
            size = self.image_size or (input_spec(self.model).size if own else None)
            changes |= {"width": None, "image_size": size}
        return replace(super().resolved(), **changes)

    def _learning_rates(self) -> dict[str, Any]:
        return learning_rates(self, PRETRAINED_RATES if self.is_pretrained else SCRATCH_RATES)

    @property
    def augment_options(self) -> AugmentOptions:
        """Return the options of the augmentation."""
        return self.values_of(AugmentOptions)

    @property
    def data_options(self) -> DataOptions:
        """Return the options of the data set."""
        return self.values_of(DataOptions)
