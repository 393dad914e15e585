"""Random resized crops with flips, and random erasing, of batches of images ``(N, C, H, W)``."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.training.seeding import generator

ATTEMPTS = 10  # rectangles drawn per image; the first that fits is used


@dataclass(frozen=True)
class Rectangles:
    """One rectangle per image, in pixels; int64 ``(N,)`` each."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    @classmethod
    def draw(
        cls, count: int, shape: tuple[int, int], area: tuple[float, float], ratio: float, random: torch.Generator
    ) -> tuple["Rectangles", Tensor]:
        """Draw rectangles as torchvision's ``RandomResizedCrop`` and ``RandomErasing`` do.

        Args:
            count: Number of images N.
            shape: Image size ``(H, W)``.
            area: Smallest and largest share of the image.
            ratio: Largest ratio of width to height; the smallest is its inverse.
            random: Random number generator.

        Returns:
            The rectangles, and which of them fit the image, bool ``(N,)``; the others are the whole image.
        """
        height, width = shape
        share = area[0] + (area[1] - area[0]) * torch.rand(ATTEMPTS, count, generator=random)
        root = ((2 * torch.rand(ATTEMPTS, count, generator=random) - 1) * math.log(ratio) / 2).exp()
        side = (share * height * width).sqrt()
        wide, high = (side * root).round().long(), (side / root).round().long()
        fits = (wide >= 1) & (wide <= width) & (high >= 1) & (high <= height)  # (ATTEMPTS, N)
        first = fits.long().argmax(0, keepdim=True)
        found = fits.any(0)
        high = torch.where(found, high.gather(0, first)[0], height)
        wide = torch.where(found, wide.gather(0, first)[0], width)
        place = torch.rand(2, count, generator=random)
        top, left = (place * torch.stack([height - high + 1, width - wide + 1])).long()
        return cls(top, left, high, wide), found

    def __getitem__(self, rows: Tensor) -> "Rectangles":
        return Rectangles(self.top[rows], self.left[rows], self.height[rows], self.width[rows])

    def to(self, device: torch.device) -> "Rectangles":
        """Return a copy on ``device``."""
        return Rectangles(*(values.to(device) for values in (self.top, self.left, self.height, self.width)))


@dataclass(frozen=True)
class ResizedCropFlip:
    """Random crop, resized to the size of the image, and horizontal flip.

    Attributes:
        crops: The crop of each image.
        mirrored: Whether the crop is flipped horizontally, ``(N,)`` bool.
    """

    crops: Rectangles
    mirrored: Tensor

    @classmethod
    def draw(cls, count: int, shape: tuple[int, int], smallest: float, seed: int, epoch: int) -> "ResizedCropFlip":
        """Draw the crops of all images of a data set; they depend on the seed and the epoch only.

        Args:
            count: Number of images.
            shape: Image size ``(H, W)``.
            smallest: Smallest share of the image that a crop covers. The ratio of its sides is 3/4 to 4/3.
            seed: Seed of the run.
            epoch: Epoch number.
        """
        random = generator(seed, "augment", epoch)
        crops, _ = Rectangles.draw(count, shape, (smallest, 1.0), 4 / 3, random)
        return cls(crops, torch.rand(count, generator=random) < 0.5)

    def __getitem__(self, rows: Tensor) -> "ResizedCropFlip":
        return ResizedCropFlip(self.crops[rows], self.mirrored[rows])

    def to(self, device: torch.device) -> "ResizedCropFlip":
        """Return a copy on ``device``."""
        return ResizedCropFlip(self.crops.to(device), self.mirrored.to(device))

    def __call__(self, pixels: Tensor, channels_last: bool = False) -> Tensor:
        """Crop, resize (bilinear with antialiasing, as Pillow does) and flip.

        Args:
            pixels: Images, ``(N, C, H, W)`` uint8.
            channels_last: Memory format of the result.

        Returns:
            Augmented images, ``(N, C, H, W)`` uint8.
        """
        height, width = pixels.shape[2:]
        columns = resize_matrix(self.crops.left, self.crops.width, width)  # (N, W, W)
        columns = torch.where(self.mirrored[:, None, None], columns.flip(1), columns)
        rows = resize_matrix(self.crops.top, self.crops.height, height)  # (N, H, H)
        images = _rounded(pixels.float() @ columns.mT[:, None])
        images = _rounded(rows[:, None] @ images)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return images.to(torch.uint8, memory_format=layout)


def resize_matrix(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the weights with which ``size`` output pixels sum up the input pixels of a line.

    Args:
        start: First input pixel of each image, ``(N,)``.
        length: Number of input pixels of each image, ``(N,)``.
        size: Number of pixels of input line and output.

    Returns:
        float32 ``(N, size, size)``; each row sums to 1 and is 0 outside of the ``length`` pixels.
    """
    scale = (length / size)[:, None, None]
    pixel = torch.arange(size, device=start.device)
    inside = pixel - start[:, None]  # (N, size), of the input
    center = (pixel[:, None] + 0.5) * scale  # (N, size, 1), of the output pixels, in input pixels
    distance = (inside[:, None, :] + 0.5 - center).abs() / scale.clamp(min=1)
    used = (inside >= 0) & (inside < length[:, None])
    weights = torch.where(used[:, None, :], (1 - distance).clamp(min=0), 0.0)
    return weights / weights.sum(2, keepdim=True)


def _rounded(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)


@dataclass(frozen=True)
class Erasing:
    """Random erasing: a rectangle of each chosen image is replaced by the mean color.

    Attributes:
        boxes: The rectangle of each image.
        chosen: Whether the image is changed, ``(N,)`` bool.
    """

    boxes: Rectangles
    chosen: Tensor

    @classmethod
    def draw(cls, count: int, shape: tuple[int, int], probability: float, seed: int, epoch: int) -> "Erasing":
        """Draw the rectangles of all images of a data set: 2 to 33 % of the image, sides in a ratio up to 3.3.

        Args:
            count: Number of images.
            shape: Image size ``(H, W)``.
            probability: Share of the images that are changed.
            seed: Seed of the run.
            epoch: Epoch number.

        Source:
            Zhong et al., 2020, arXiv:1708.04896.
        """
        random = generator(seed, "erase", epoch)
        boxes, found = Rectangles.draw(count, shape, (0.02, 0.33), 3.3, random)
        return cls(boxes, found & (torch.rand(count, generator=random) < probability))

    def __getitem__(self, rows: Tensor) -> "Erasing":
        return Erasing(self.boxes[rows], self.chosen[rows])

    def to(self, device: torch.device) -> "Erasing":
        """Return a copy on ``device``."""
        return Erasing(self.boxes.to(device), self.chosen.to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """Erase from normalized images ``(N, C, H, W)``, in which the mean color is 0."""
        row = torch.arange(images.shape[2], device=images.device)
        column = torch.arange(images.shape[3], device=images.device)
        rows = _within(row, self.boxes.top, self.boxes.height)
        columns = _within(column, self.boxes.left, self.boxes.width)
        erased = (rows[:, :, None] & columns[:, None, :])[:, None] & self.chosen[:, None, None, None]
        return images.masked_fill(erased, 0.0)


def _within(positions: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """Return which positions ``(P,)`` are in the ranges of the images, bool ``(N, P)``."""
    return (positions >= start[:, None]) & (positions < (start + length)[:, None])
