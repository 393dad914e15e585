"""Configuration of image-classification runs."""

from dataclasses import dataclass
from typing import get_args

from labelemb.errors import Choices
from labelemb.tasks.classification.config import ClassificationConfig
from labelemb.tasks.vision import datasets
from labelemb.tasks.vision.augment import Augment
from labelemb.tasks.vision.datasets import DataOptions
from labelemb.tasks.vision.datasets.cifar_archives import Level
from labelemb.tasks.vision.models import MODELS
from labelemb.terms.objective import Reduction


@dataclass(frozen=True)
class VisionConfig(ClassificationConfig):
    """Configuration of an image-classification run; the presets are values of it.

    The options shared by all tasks are documented in ``TrainingConfig`` and ``ClassificationConfig``.

    Args:
        dataset: ``digits``, ``mnist``, ``cifar10`` or ``cifar100``; ``imagefolder:PATH`` or ``hub:ID`` for own images.
        label_level: Labels of CIFAR-100: ``fine`` (100) or ``coarse`` (20).
        image_size: Side length that own images are centre-cropped and resized to; null: 32.
        validate: Whether to hold out a stratified tenth of the training images for validation; null: as published
            for a named data set, true for own images.
        images_per_label: Maximum number of training images per label; null: all.
        augment: Augmentation of training images: ``none``, or ``crop-flip`` (pad 4, random crop, horizontal flip).
        mixup: Mixup Beta(a, a) parameter; 0 disables. Only for methods that take mixed targets.
        cutmix: CutMix Beta(a, a) parameter; 0 disables. With mixup also on, each batch uses one of the two.
        model: ``mlp``, ``cnn``, ``resnet8`` or ``resnet18``.
        width: Width of the model's layers; null: the published width.
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
    augment: Augment = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    model: str = "mlp"
    width: int | None = None
    reduction: Reduction = "mean"
    channels_last: bool = True
    compile: bool = False

    def check_values(self, choices: Choices) -> None:
        """Record invalid options."""
        choices.expect(datasets.is_known(self.dataset), "dataset", datasets.NAMES, repr(self.dataset))
        choices.expect_one_of("label_level", self.label_level, get_args(Level))
        choices.expect_one_of("augment", self.augment, get_args(Augment))
        choices.expect_one_of("model", self.model, list(MODELS))
        for name in ("width", "image_size", "images_per_label"):
            value = getattr(self, name)
            choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            choices.expect(0 <= value < float("inf"), name, "a number >= 0", value)
        super().check_values(choices)

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def data_options(self) -> DataOptions:
        """Return the options of the data set."""
        return self.values_of(DataOptions)
