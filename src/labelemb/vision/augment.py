"""Random crops and flips of whole batches, on uint8, on whatever device the images are. N images of C x H x W."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from labelemb.training.seeding import generator

Augment = Literal["none", "crop-flip"]
PAD = 4  # published


@dataclass(frozen=True)
class CropFlip:
    """What happens to each image: where the crop starts in the padded image, and whether it is mirrored then.

    top, left  (N,) int64, 0 to 2 * PAD
    mirrored   (N,) bool
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, count: int, seed: int, epoch: int) -> "CropFlip":
        """Draw for all images of a data set at once, from a stream that depends on seed and epoch alone.

        So an image gets the same crop whichever batch, piece or process it is in, and after any resume.
        """
        random = generator(seed, "augment", epoch)
        top, left = torch.randint(2 * PAD + 1, (2, count), generator=random)
        return cls(top, left, torch.rand(count, generator=random) < 0.5)

    def __getitem__(self, rows: Tensor) -> "CropFlip":
        return CropFlip(self.top[rows], self.left[rows], self.mirrored[rows])

    def to(self, device: torch.device) -> "CropFlip":
        """Return the same on that device."""
        return CropFlip(self.top.to(device), self.left.to(device), self.mirrored.to(device))

    def __call__(self, pixels: Tensor, channels_last: bool = False) -> Tensor:
        """Pad with zeros, crop to the old size and mirror: (N, C, H, W) uint8 -> (N, C, H, W), in one gather.

        channels_last  memory layout of what comes out; the gather writes it, so that nothing is turned afterwards
        """
        count, channels, height, width = pixels.shape
        padded = F.pad(pixels, (PAD, PAD, PAD, PAD))  # (N, C, H + 8, W + 8)
        row = torch.arange(height, device=pixels.device)
        column = torch.arange(width, device=pixels.device)
        rows = (self.top[:, None] + row) * padded.shape[3]  # (N, H)
        columns = self.left[:, None] + torch.where(self.mirrored[:, None], width - 1 - column, column)  # (N, W)
        if not channels_last:
            places = (rows[:, :, None] + columns[:, None, :]).view(count, 1, -1).expand(count, channels, -1)
            return padded.view(count, channels, -1).gather(2, places).view_as(pixels)
        channel = torch.arange(channels, device=pixels.device) * padded[0, 0].numel()
        across = (columns[:, :, None] + channel).view(count, 1, -1)  # (N, 1, W * C)
        places = (rows[:, :, None] + across).view(count, -1)  # (N, H * W * C)
        gathered = padded.view(count, -1).gather(1, places)
        return gathered.view(count, height, width, channels).permute(0, 3, 1, 2)
