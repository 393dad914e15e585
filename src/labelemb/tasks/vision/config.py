"""Every choice of a vision run."""

from dataclasses import dataclass
from typing import get_args

from labelemb.errors import Choices
from labelemb.tasks.vision import datasets
from labelemb.tasks.vision.augment import Augment
from labelemb.tasks.vision.datasets import DataOptions
from labelemb.tasks.vision.datasets.cifar_archives import Level
from labelemb.tasks.vision.models import MODELS
from labelemb.terms.objective import Reduction
from labelemb.training.config import TrainingConfig


@dataclass(frozen=True)
class VisionConfig(TrainingConfig):
    """Every choice of a vision run; the presets are values of it.

    dataset         digits, mnist, cifar10 or cifar100; imagefolder:PATH or hub:ID for images of one's own
    label_level     labels of cifar100: fine or coarse
    image_size      side of the square that own images are cut and resized to; null: 32
    validate        true: hold a fixed tenth of the training images out to choose by; false: none; null: as published,
                    and true for own images
    images_per_label  most training images of each label; null: all
    augment         crop-flip: pad 4, random crop, random mirror image, for training images; none
    mixup           average each training image with another, and so their labels: a of Beta(a, a), which the shares are
                    drawn from; 0: off. For the methods whose target is plain: baseline, smoothing, reuse, matrix, and
                    matched and shuffled with an embedding
    cutmix          cut a box out of the other image instead; with both on, each batch is one or the other
    model           mlp, cnn, resnet8 or resnet18
    width           size of the model's layers; null: as published
    batch_size      images per optimiser step, over all processes
    reduction       mean: as published for images, the cap a sum over rows; token: every term divided by the rows
    channels_last   memory layout of images and convolutions
    compile         let torch.compile make the model faster: costs a minute at the start, needs a C++ compiler

    The other keys are those of every task (``TrainingConfig``).
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

    def expect(self, choices: Choices) -> None:
        """Note what cannot be."""
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
        super().expect(choices)

    @property
    def mixes(self) -> bool:
        """Say whether training images are mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def data_options(self) -> DataOptions:
        """Return the choices that are the data set's."""
        return DataOptions(**self.share(DataOptions))
