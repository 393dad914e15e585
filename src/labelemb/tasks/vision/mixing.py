"""Mixup and CutMix on batches of images ``(N, C, H, W)``."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelemb.training.seeding import stream_seed


@dataclass(frozen=True)
class Box:
    """Rectangle ``[top, bottom) x [left, right)`` of an image, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Return the number of pixels."""
        return (self.bottom - self.top) * (self.right - self.left)


@dataclass(frozen=True)
class Mixing:
    """Mixup or CutMix parameters of one batch.

    Attributes:
        partners: Permutation of the batch, ``(N,)`` int64: the image that each image is mixed with, possibly itself.
        weight: Weight of the image and its label, in [0, 1]; the partner gets ``1 - weight``.
        box: Rectangle replaced by the partner's pixels (CutMix), or None to interpolate all pixels (mixup).
    """

    partners: Tensor
    weight: float
    box: Box | None

    @classmethod
    def draw(
        cls, size: int, shape: tuple[int, int], strengths: tuple[float, float], seed: int, place: tuple[int, int]
    ) -> "Mixing":
        """Draw parameters for a whole batch; they depend on the seed, the epoch and the batch number only.

        The result is therefore independent of micro-batching, the number of processes and resuming. If both mixup
        and CutMix are enabled, one of them is chosen per batch with equal probability.

        Args:
            size: Batch size N.
            shape: Image size ``(H, W)``.
            strengths: Parameters α of Beta(α, α) for mixup and CutMix; 0 disables.
            seed: Seed of the run.
            place: Epoch and batch number.

        Source:
            mixup: Zhang et al., 2018, arXiv:1710.09412. CutMix: Yun et al., 2019, arXiv:1905.04899.
        """
        random = np.random.default_rng(stream_seed(seed, "mix", *place))
        partners = torch.from_numpy(random.permutation(size))
        mixup, cutmix = strengths
        cuts = cutmix > 0 and (mixup == 0 or random.random() < 0.5)
        strength = cutmix if cuts else mixup
        weight = float(random.beta(strength, strength))
        if not cuts:
            return cls(partners, weight, None)
        box = _box(weight, shape, (int(random.integers(shape[0])), int(random.integers(shape[1]))))
        return cls(partners, 1 - box.area / (shape[0] * shape[1]), box)

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """Mix float images ``(N, C, H, W)`` with their partners ``(N, C, H, W)``."""
        if self.box is None:
            return torch.lerp(others, images, self.weight)
        mixed = images.clone()
        part = (..., slice(self.box.top, self.box.bottom), slice(self.box.left, self.box.right))
        mixed[part] = others[part]
        return mixed


def _box(weight: float, shape: tuple[int, int], center: tuple[int, int]) -> Box:
    """Return the box around ``center`` with area ``1 - weight`` of the image, clipped to the image.

    >>> _box(0.75, (8, 8), (0, 4))
    Box(top=0, bottom=2, left=2, right=6)
    """
    edges = []
    for side, middle in zip(shape, center, strict=True):
        length = int(side * math.sqrt(1 - weight))
        start = middle - length // 2
        edges += [max(start, 0), min(start + length, side)]
    return Box(*edges)
