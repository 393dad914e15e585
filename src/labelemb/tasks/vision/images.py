"""Images in memory and the batches made of them. N images, C channels, H x W pixels."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from labelemb.tasks.classification.splits import limit_per_label, stratified_holdout
from labelemb.terms.output import MixedTargets, Targets


@dataclass(frozen=True)
class Images:
    """A split: pixels (N, C, H, W) uint8 and labels (N,) int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Images":
        return Images(self.pixels[rows], self.labels[rows])

    def to(self, device: torch.device, layout: torch.memory_format) -> "Images":
        """Return the split on that device, its pixels in that layout."""
        return Images(self.pixels.to(device, memory_format=layout), self.labels.to(device))

    def select(self, rows: Tensor) -> Tensor:
        """Return the pixels of some rows in the layout of all: twenty times as fast as [rows] on a CPU."""
        if self.pixels.is_contiguous(memory_format=torch.channels_last):
            return self.pixels.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
        return self.pixels.index_select(0, rows)


@dataclass(frozen=True)
class ImageData:
    """A data set: three splits, the names of its labels in order, and what identifies it.

    valid   chooses; None when all training images train
    test    is never used to choose anything
    mean, std   per channel, of pixels in [0, 1], for the normalisation (0 and 1: none)
    note    what must be said beside a figure made with this data, if anything
    """

    train: Images
    valid: Images | None
    test: Images
    label_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str = ""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Return a sha256 over pixels and labels of all splits, 16 digits: the data behind a number."""
        return digest_of(split for split in (self.train, self.valid, self.test) if split is not None)[:16]

    def validated(self, wanted: bool | None) -> "ImageData":
        """Return the data with a validation set or without; None: as it is.

        True: where there is none, a fixed stratified tenth of the training images becomes it (5,000 of CIFAR's).
        False: the images of the one there is train.
        """
        if wanted and self.valid is None:
            kept, held = stratified_holdout(self.train.labels, max(1, len(self.train) // 10), seed=0)
            return replace(self, train=self.train[kept], valid=self.train[held])
        if wanted is False and self.valid is not None:
            return replace(self, train=join([self.train, self.valid]), valid=None)
        return self

    def limited(self, images_per_label: int | None) -> "ImageData":
        """Return the data with so many training images of each label, the same every time; None: as it is.

        A smaller number is a part of a larger one; a label with fewer images keeps all. The note says so.
        """
        if images_per_label is None:
            return self
        kept = limit_per_label(self.train.labels, len(self.label_names), images_per_label)
        limit = f"{images_per_label} training images per label"
        return replace(self, train=self.train[kept], note=f"{self.note}, {limit}" if self.note else limit)


def join(parts: Sequence[Images]) -> Images:
    """Return splits one after the other as one."""
    return Images(torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts]))


def digest_of(splits: Iterable[Images]) -> str:
    """Return a sha256 over shapes and values of pixels and labels, in that order."""
    sha = hashlib.sha256()
    for split in splits:
        for tensor in (split.pixels, split.labels):
            sha.update(str(tuple(tensor.shape)).encode())
            sha.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return sha.hexdigest()


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, of pixels in [0, 1]; counted exactly, in whole numbers.

    A channel without any variation gets the deviation 1, so that dividing by it is harmless.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.pixels.shape[1]):
        counts = np.bincount(images.pixels[:, channel].numpy().ravel(), minlength=256)
        share = torch.from_numpy(counts).double() / counts.sum()
        mean = float((share * levels).sum())
        deviation = float((share * (levels - mean) ** 2).sum().sqrt())
        means.append(mean)
        deviations.append(deviation or 1.0)
    return tuple(means), tuple(deviations)


@dataclass(frozen=True)
class ImageBatch:
    """A micro-batch as the training loop wants it; ``index``: which training image each is."""

    images: Tensor
    targets: Targets
    index: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Return the arguments of the model."""
        return (self.images,)

    @property
    def labels(self) -> Tensor:
        """Return a label of each image: of mixed ones, the first."""
        return self.targets.first if isinstance(self.targets, MixedTargets) else self.targets

    @property
    def size(self) -> int:
        """Return the number of images."""
        return len(self.labels)


class Normalise:
    """uint8 (N, C, H, W) -> float32, (x / 255 - mean) / std per channel, in one multiply and one add."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device, channels_last: bool) -> None:
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1.0 / (255.0 * deviation)
        self.shift = -torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the pixels as the model wants them."""
        # A whole image of scales and shifts: five times as fast as one number per channel, which spoils vectorisation.
        if self.scale.shape[1:] != pixels.shape[1:]:
            shape = (1, *pixels.shape[1:])
            self.scale, self.shift = (
                values[:, :, :1, :1].expand(shape).contiguous(memory_format=self.format)
                for values in (self.scale, self.shift)
            )
        image = pixels.to(torch.float32, memory_format=self.format)
        return torch.addcmul(self.shift, image, self.scale, out=image)  # fresh memory is what costs the most here
