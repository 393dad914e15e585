"""The augmentation of an epoch: crops and flips, TrivialAugment and random erasing, by the options of the run."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelemb.errors import Choices
from labelemb.tasks.vision.augment import CropFlip
from labelemb.tasks.vision.resized_crop import Erasing, ResizedCropFlip
from labelemb.tasks.vision.trivial_augment import TrivialAugment

Augment = Literal["none", "crop-flip", "resized-crop-flip"]
AutoAugment = Literal["none", "trivial"]


@dataclass(frozen=True)
class AugmentOptions:
    """Options of the augmentation of training images.

    Args:
        augment: ``none``, ``crop-flip`` or ``resized-crop-flip``.
        crop_area: Smallest share of the image that a crop of ``resized-crop-flip`` covers.
        auto_augment: ``none`` or ``trivial`` (TrivialAugment).
        random_erasing: Probability of random erasing.
    """

    augment: Augment = "none"
    crop_area: float = 0.08
    auto_augment: AutoAugment = "none"
    random_erasing: float = 0.0

    def check_values(self, choices: Choices) -> None:
        """Record invalid options."""
        choices.expect(0 < self.crop_area <= 1, "crop_area", "a number above 0 and up to 1", self.crop_area)
        choices.expect(0 <= self.random_erasing <= 1, "random_erasing", "a number from 0 to 1", self.random_erasing)


@dataclass(frozen=True)
class Augmentation:
    """What happens to each image in one epoch; None: nothing."""

    crops: CropFlip | ResizedCropFlip | None = None
    trivial: TrivialAugment | None = None
    erasing: Erasing | None = None

    @classmethod
    def draw(cls, options: AugmentOptions, count: int, shape: tuple[int, int], seed: int, epoch: int) -> "Augmentation":
        """Draw the parameters of all images of a data set; they depend on the seed and the epoch only.

        The augmentation of an image is therefore independent of batching, the number of processes and resuming.

        Args:
            options: Options of the run.
            count: Number of images.
            shape: Image size ``(H, W)``.
            seed: Seed of the run.
            epoch: Epoch number.
        """
        crops: CropFlip | ResizedCropFlip | None = None
        if options.augment == "crop-flip":
            crops = CropFlip.draw(count, seed, epoch)
        elif options.augment == "resized-crop-flip":
            crops = ResizedCropFlip.draw(count, shape, options.crop_area, seed, epoch)
        trivial = TrivialAugment.draw(count, seed, epoch) if options.auto_augment == "trivial" else None
        erases = options.random_erasing > 0
        return cls(crops, trivial, Erasing.draw(count, shape, options.random_erasing, seed, epoch) if erases else None)

    def __getitem__(self, rows: Tensor) -> "Augmentation":
        return Augmentation(
            None if self.crops is None else self.crops[rows],
            None if self.trivial is None else self.trivial[rows],
            None if self.erasing is None else self.erasing[rows],
        )

    def to(self, device: torch.device) -> "Augmentation":
        """Return a copy on ``device``."""
        return Augmentation(
            None if self.crops is None else self.crops.to(device),
            None if self.trivial is None else self.trivial.to(device),
            None if self.erasing is None else self.erasing.to(device),
        )

    def pixels(self, pixels: Tensor, channels_last: bool) -> Tensor:
        """Crop, flip and apply TrivialAugment to images ``(N, C, H, W)`` uint8."""
        if self.crops is not None:
            pixels = self.crops(pixels, channels_last)
        return pixels if self.trivial is None else self.trivial(pixels)

    def images(self, images: Tensor) -> Tensor:
        """Erase rectangles of normalized images ``(N, C, H, W)``."""
        return images if self.erasing is None else self.erasing(images)
