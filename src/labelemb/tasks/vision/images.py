"""In-memory image data sets and batches: N images with C channels and H x W pixels."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from labelemb.tasks.classification.splits import limit_per_label, stratified_holdout
from labelemb.tasks.vision.lazy import LazyPixels, remembered
from labelemb.terms.output import MixedTargets, Targets

CHUNK = 2048  # images at a time where a whole data set is read


@dataclass(frozen=True)
class Images:
    """One split of a data set.

    Attributes:
        pixels: ``(N, C, H, W)`` uint8; ``LazyPixels`` are decoded when they are used.
        labels: ``(N,)`` int64.
    """

    pixels: Tensor | LazyPixels
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Images":
        return Images(self.pixels[rows], self.labels[rows])

    def to(self, device: torch.device, layout: torch.memory_format) -> "Images":
        """Return a copy on ``device`` with the pixels in memory format ``layout``; lazy ones follow when selected."""
        if isinstance(self.pixels, LazyPixels):
            return Images(self.pixels, self.labels.to(device))
        return Images(self.pixels.to(device, memory_format=layout), self.labels.to(device))

    @property
    def identity(self) -> str:
        """Return a digest, the key of cached statistics of the images; images that are decoded lazily stay encoded."""
        if not isinstance(self.pixels, LazyPixels):
            return digest_of([self])
        return self.pixels.identity + hashlib.sha256(self.labels.numpy().tobytes()).hexdigest()

    def decoded(self) -> Tensor:
        """Return all pixels in memory."""
        return self.pixels if isinstance(self.pixels, Tensor) else self.pixels.select(torch.arange(len(self)))

    def select(self, rows: Tensor) -> Tensor:
        """Return the pixels of the given rows in the same memory format; on CPU about 20x faster than indexing."""
        if isinstance(self.pixels, LazyPixels):
            return self.pixels.select(rows).to(self.labels.device)
        if self.pixels.is_contiguous(memory_format=torch.channels_last):
            return self.pixels.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
        return self.pixels.index_select(0, rows)


@dataclass(frozen=True)
class ImageData:
    """An image data set.

    Attributes:
        train: Training split.
        valid: Validation split, for model selection; None if no images are held out.
        test: Test split, never used for model selection.
        label_names: Label names in index order.
        mean: Per-channel mean for normalization, of pixels scaled to [0, 1].
        std: Per-channel standard deviation for normalization.
        note: Caveat to print next to results on this data; may be empty.
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
        """Return ``(C, H, W)``."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Return the first 16 hex digits of the SHA-256 over all splits; it identifies the data."""
        splits = [split for split in (self.train, self.valid, self.test) if split is not None]
        if not any(isinstance(split.pixels, LazyPixels) for split in splits):
            return digest_of(splits)[:16]
        key = " ".join(split.identity for split in splits)
        return remembered("digest", key, lambda: digest_of(splits))[:16]

    def validated(self, wanted: bool | None) -> "ImageData":
        """Return the data set with or without a validation split.

        Args:
            wanted: True holds out a fixed stratified 10 % of the training images unless a validation split exists;
                False merges an existing validation split into the training split; None changes nothing.
        """
        if wanted and self.valid is None:
            kept, held = stratified_holdout(self.train.labels, max(1, len(self.train) // 10), seed=0)
            return replace(self, train=self.train[kept], valid=self.train[held])
        if wanted is False and self.valid is not None:
            return replace(self, train=join([self.train, self.valid]), valid=None)
        return self

    def limited(self, images_per_label: int | None) -> "ImageData":
        """Return the data set with a limited number of training images per label, and the limit added to the note.

        The selection is deterministic and nested: a smaller limit selects a subset of a larger one.

        Args:
            images_per_label: Maximum per label; labels with fewer images keep all. None: no limit.
        """
        if images_per_label is None:
            return self
        kept = limit_per_label(self.train.labels, len(self.label_names), images_per_label)
        limit = f"{images_per_label} training images per label"
        return replace(self, train=self.train[kept], note=f"{self.note}, {limit}" if self.note else limit)


def join(parts: Sequence[Images]) -> Images:
    """Concatenate splits."""
    labels = torch.cat([part.labels for part in parts])
    if all(isinstance(part.pixels, Tensor) for part in parts):
        return Images(torch.cat([part.pixels for part in parts]), labels)  # type: ignore[misc]
    return Images(reduce(LazyPixels.joined, [part.pixels for part in parts]), labels)  # type: ignore[arg-type]


def chunks(pixels: Tensor | LazyPixels, size: int) -> Iterator[Tensor]:
    """Yield the images in order, at most ``size`` at a time."""
    if isinstance(pixels, Tensor):
        yield from torch.split(pixels, size)
        return
    parts = torch.split(torch.arange(len(pixels)), size)
    for part, following in zip(parts, [*parts[1:], parts[0][:0]], strict=True):
        pixels.prefetch(torch.cat([part, following]))
        yield pixels.select(part)
    pixels.prefetch(parts[0][:0])


def digest_of(splits: Iterable[Images]) -> str:
    """Return the SHA-256 over the shapes and values of pixels and labels of all splits, in order."""
    sha = hashlib.sha256()
    for split in splits:
        sha.update(str(tuple(split.pixels.shape)).encode())
        for part in chunks(split.pixels, CHUNK):
            sha.update(np.ascontiguousarray(part.cpu().numpy()).data)
        sha.update(str(tuple(split.labels.shape)).encode())
        sha.update(np.ascontiguousarray(split.labels.cpu().numpy()).data)
    return sha.hexdigest()


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the per-channel mean and standard deviation of pixels scaled to [0, 1], from exact integer histograms.

    A constant channel gets a standard deviation of 1 to avoid division by zero.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    totals = np.zeros((images.pixels.shape[1], 256), dtype=np.int64)
    for part in chunks(images.pixels, CHUNK):
        for channel, counts in enumerate(totals):
            counts += np.bincount(part[:, channel].numpy().ravel(), minlength=256)
    for counts in totals:
        share = torch.from_numpy(counts).double() / counts.sum()
        mean = float((share * levels).sum())
        deviation = float((share * (levels - mean) ** 2).sum().sqrt())
        means.append(mean)
        deviations.append(deviation or 1.0)
    return tuple(means), tuple(deviations)


@dataclass(frozen=True)
class ImageBatch:
    """A micro-batch for the training loop.

    Attributes:
        images: Normalized images, ``(N, C, H, W)`` float32.
        targets: Labels ``(N,)`` or mixed targets.
        index: Index of each image in its split, ``(N,)``.
    """

    images: Tensor
    targets: Targets
    index: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Return the positional arguments of the model."""
        return (self.images,)

    @property
    def labels(self) -> Tensor:
        """Return the labels ``(N,)``; for mixed targets, the first of each pair."""
        return self.targets.first if isinstance(self.targets, MixedTargets) else self.targets

    @property
    def size(self) -> int:
        """Return the number of images."""
        return len(self.labels)


class Normalize:
    """Normalize uint8 images to float32: ``(x / 255 - mean) / std`` per channel, as one fused multiply-add."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device, channels_last: bool) -> None:
        deviation = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self.scale = 1.0 / (255.0 * deviation)
        self.shift = -torch.tensor(mean, device=device).view(1, -1, 1, 1) / deviation
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the normalized images, ``(N, C, H, W)`` float32."""
        # Full-image scale and shift: about 5x faster than broadcasting per channel, which prevents vectorization.
        if self.scale.shape[1:] != pixels.shape[1:]:
            shape = (1, *pixels.shape[1:])
            self.scale, self.shift = (
                values[:, :, :1, :1].expand(shape).contiguous(memory_format=self.format)
                for values in (self.scale, self.shift)
            )
        image = pixels.to(torch.float32, memory_format=self.format)
        return torch.addcmul(self.shift, image, self.scale, out=image)  # in place: allocation dominates the cost
