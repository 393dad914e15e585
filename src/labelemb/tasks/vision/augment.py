"""Random crops and flips of whole batches, on uint8, on whatever device the images are. N images of C x H x W."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

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

        A line of a crop is a piece of a line of the padded image, or of its mirror image: whole lines are gathered.

        channels_last  memory layout of what comes out, and the one to come in with: a line is W * C numbers then, not W
        """
        planes = pixels.permute(0, 2, 3, 1).unsqueeze(1) if channels_last else pixels.unsqueeze(4)  # (N, P, H, W, K)
        count, depth, height, width, size = planes.shape
        both = planes.new_zeros(2, count, depth, height + 2 * PAD, width + 2 * PAD, size)
        inner = both[:, :, :, PAD:-PAD, PAD:-PAD]
        inner[0], inner[1] = planes, planes.flip(3)
        left = torch.where(self.mirrored, 2 * PAD - self.left, self.left)
        image = self.mirrored * count + torch.arange(count, device=pixels.device)
        plane = image[:, None] * depth + torch.arange(depth, device=pixels.device)  # (N, P)
        line = self.top[:, None, None] + torch.arange(height, device=pixels.device)  # (N, 1, H)
        line = plane[:, :, None] * both.shape[3] + line  # (N, P, H)
        start = (line * both.shape[4] + left[:, None, None]) * size
        # Every piece of W * K numbers there is, wherever it starts; they lie over each other and take no memory.
        pieces = both.view(-1).as_strided((both.numel() - width * size + 1, width * size), (1, 1))
        crops = pieces.index_select(0, start.view(-1)).view_as(planes)
        return crops[:, 0].permute(0, 3, 1, 2) if channels_last else crops[..., 0]
