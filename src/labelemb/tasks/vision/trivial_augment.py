"""TrivialAugment: one random operation of random strength per image, on batches ``(N, C, H, W)``."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.tasks.vision import photometric
from labelemb.training.seeding import generator

STRENGTHS = 31


@dataclass(frozen=True)
class Operation:
    """An operation of the search space.

    Attributes:
        apply: Maps images ``(N, C, H, W)`` uint8 and magnitudes ``(N,)`` to images.
        magnitudes: Magnitudes by increasing strength, ``(STRENGTHS,)``.
        signed: Whether the magnitude gets a random sign.
        offset: Added to the signed magnitude.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    magnitudes: Tensor
    signed: bool = False
    offset: float = 0.0


def shear_x(pixels: Tensor, amount: Tensor) -> Tensor:
    """Shear horizontally: row y is moved by ``amount * y`` pixels to the left."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(pixels, torch.stack([one, amount, zero, zero, one, zero], 1))


def shear_y(pixels: Tensor, amount: Tensor) -> Tensor:
    """Shear vertically: column x is moved by ``amount * x`` pixels up."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(pixels, torch.stack([one, zero, zero, amount, one, zero], 1))


def translate_x(pixels: Tensor, amount: Tensor) -> Tensor:
    """Move by a whole number of pixels to the left."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(pixels, torch.stack([one, zero, amount.trunc(), zero, one, zero], 1))


def translate_y(pixels: Tensor, amount: Tensor) -> Tensor:
    """Move by a whole number of pixels up."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(pixels, torch.stack([one, zero, zero, zero, one, amount.trunc()], 1))


def rotate(pixels: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise about the center."""
    angle = -torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    y, x = pixels.shape[2] / 2, pixels.shape[3] / 2
    return affine(pixels, torch.stack([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y], 1))


def affine(pixels: Tensor, matrix: Tensor) -> Tensor:
    """Transform by nearest neighbors; pixels from outside of the image are 0.

    Args:
        pixels: Images, ``(N, C, H, W)`` uint8.
        matrix: ``a, b, c, d, e, f`` of each image, ``(N, 6)``: the pixel at (x, y) is the one at
            (a x + b y + c, d x + e y + f), with centers of pixels at halves. As in Pillow's ``Image.transform``.
    """
    count, channels, height, width = pixels.shape
    x = torch.arange(width, device=pixels.device, dtype=torch.float64)[None, None, :] + 0.5
    y = torch.arange(height, device=pixels.device, dtype=torch.float64)[None, :, None] + 0.5
    a, b, c, d, e, f = matrix.double()[:, :, None, None].unbind(1)
    column, row = (a * x + b * y + c).floor().long(), (d * x + e * y + f).floor().long()  # (N, H, W)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = torch.where(inside, row * width + column, 0).view(count, 1, -1).expand(-1, channels, -1)
    found = pixels.flatten(2).gather(2, source).view(pixels.shape)
    return torch.where(inside[:, None], found, 0)


def _space() -> tuple[Operation, ...]:
    """Return the operations and magnitudes of TrivialAugment (Wide)."""

    def up_to(largest: float) -> Tensor:
        return torch.linspace(0.0, largest, STRENGTHS)

    none = torch.zeros(STRENGTHS)
    photo, factors = photometric, up_to(0.99)
    enhancements = (photo.brightness, photo.color, photo.contrast, photo.sharpness)
    return (
        Operation(lambda pixels, _: pixels, none),
        Operation(shear_x, factors, signed=True),
        Operation(shear_y, factors, signed=True),
        Operation(translate_x, up_to(32.0), signed=True),
        Operation(translate_y, up_to(32.0), signed=True),
        Operation(rotate, up_to(135.0), signed=True),
        *(Operation(enhance, factors, signed=True, offset=1.0) for enhance in enhancements),
        Operation(photo.posterize, 8 - (torch.arange(STRENGTHS) / 5).round()),
        Operation(photo.solarize, 255 - up_to(255.0)),
        Operation(photo.autocontrast, none),
        Operation(photo.equalize, none),
    )


OPERATIONS = _space()


@dataclass(frozen=True)
class TrivialAugment:
    """One operation of ``OPERATIONS`` per image.

    Attributes:
        operation: Number of the operation, ``(N,)`` int64.
        magnitude: Its magnitude, ``(N,)`` float32.
    """

    operation: Tensor
    magnitude: Tensor

    @classmethod
    def draw(cls, count: int, seed: int, epoch: int) -> "TrivialAugment":
        """Draw operation, strength and sign of all images of a data set; they depend on the seed and the epoch only.

        Args:
            count: Number of images.
            seed: Seed of the run.
            epoch: Epoch number.

        Source:
            Müller and Hutter, 2021, arXiv:2103.10158.
        """
        random = generator(seed, "trivial", epoch)
        operation = torch.randint(len(OPERATIONS), (count,), generator=random)
        strength = torch.randint(STRENGTHS, (count,), generator=random)
        negative = torch.rand(count, generator=random) < 0.5
        magnitude = torch.stack([each.magnitudes for each in OPERATIONS])[operation, strength]
        signed = torch.tensor([each.signed for each in OPERATIONS])[operation]
        offset = torch.tensor([each.offset for each in OPERATIONS])[operation]
        return cls(operation, torch.where(signed & negative, -magnitude, magnitude) + offset)

    def __getitem__(self, rows: Tensor) -> "TrivialAugment":
        return TrivialAugment(self.operation[rows], self.magnitude[rows])

    def to(self, device: torch.device) -> "TrivialAugment":
        """Return a copy on ``device``."""
        return TrivialAugment(self.operation.to(device), self.magnitude.to(device))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Augment images ``(N, C, H, W)`` uint8, those with the same operation together."""
        changed = pixels.clone()
        for number in torch.unique(self.operation).tolist():
            rows = (self.operation == number).nonzero()[:, 0]
            changed[rows] = OPERATIONS[number].apply(pixels[rows].contiguous(), self.magnitude[rows])
        return changed
