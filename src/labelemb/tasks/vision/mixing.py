"""Mixup and CutMix: an image is partly another one of its batch, and so is its target. N images of C x H x W."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelemb.training.seeding import stream_seed


@dataclass(frozen=True)
class Box:
    """Rows top to bottom - 1 and columns left to right - 1 of an image."""

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
    """What happens to one batch.

    partners  (N,) int64, the position in the batch of the image that each is mixed with; some are their own
    weight    what remains of the image itself, and of its label, 0..1
    box       the part that is cut out of the partner (CutMix); None: all pixels are averaged (mixup)
    """

    partners: Tensor
    weight: float
    box: Box | None

    @classmethod
    def draw(
        cls, size: int, shape: tuple[int, int], strengths: tuple[float, float], seed: int, place: tuple[int, int]
    ) -> "Mixing":
        """Draw for a whole batch, from a stream that depends on the seed and the batch's place alone.

        So an image is mixed alike whichever piece or process it is in, and after any resume.

        size       N; shape: H, W
        strengths  a of Beta(a, a), which the weight is drawn from, for mixup and for CutMix; 0: not that one. With both
                   on, each batch is one or the other with even chances.
        place      epoch, number of the batch in it

        Sources: Zhang, Cisse, Dauphin, Lopez-Paz 2018, arXiv 1710.09412; Yun, Han, Oh, Chun, Choe, Yoo 2019,
        arXiv 1905.04899.
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
        """(N, C, H, W) float, and the partners' -> (N, C, H, W)."""
        if self.box is None:
            return torch.lerp(others, images, self.weight)
        mixed = images.clone()
        part = (..., slice(self.box.top, self.box.bottom), slice(self.box.left, self.box.right))
        mixed[part] = others[part]
        return mixed


def _box(weight: float, shape: tuple[int, int], centre: tuple[int, int]) -> Box:
    """Return the box around a pixel that would hold 1 - weight of the image, cut off at the edges.

    >>> _box(0.75, (8, 8), (0, 4))
    Box(top=0, bottom=2, left=2, right=6)
    """
    edges = []
    for side, middle in zip(shape, centre, strict=True):
        length = int(side * math.sqrt(1 - weight))
        start = middle - length // 2
        edges += [max(start, 0), min(start + length, side)]
    return Box(*edges)
