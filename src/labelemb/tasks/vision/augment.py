"""Batched random crops and horizontal flips of uint8 images ``(N, C, H, W)``, on the device of the images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.training.seeding import generator

PAD = 4  # pixels on each side, the usual value for CIFAR


@dataclass(frozen=True)
class CropFlip:
    """Random crop and horizontal flip, with one set of parameters per image.

    Attributes:
        top: First row of each crop in the padded image, ``(N,)`` int64 in ``[0, 2 * PAD]``.
        left: First column of each crop in the padded image, ``(N,)`` int64 in ``[0, 2 * PAD]``.
        mirrored: Whether the crop is flipped horizontally, ``(N,)`` bool.
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, count: int, seed: int, epoch: int) -> "CropFlip":
        """Draw parameters for all images of a data set; they depend on the seed and the epoch only.

        The crop of an image is therefore independent of batching, the number of processes and resuming.

        Args:
            count: Number of images.
            seed: Seed of the run.
            epoch: Epoch number.
        """
        random = generator(seed, "augment", epoch)
        top, left = torch.randint(2 * PAD + 1, (2, count), generator=random)
        return cls(top, left, torch.rand(count, generator=random) < 0.5)

    def __getitem__(self, rows: Tensor) -> "CropFlip":
        return CropFlip(self.top[rows], self.left[rows], self.mirrored[rows])

    def to(self, device: torch.device) -> "CropFlip":
        """Return a copy with all tensors on ``device``."""
        return CropFlip(self.top.to(device), self.left.to(device), self.mirrored.to(device))

    def __call__(self, pixels: Tensor, channels_last: bool = False) -> Tensor:
        """Pad with zeros, crop to the original size and flip, in a single gather.

        Each row of a crop is a contiguous slice of a row of the padded image or of its mirror image, so whole rows
        are gathered.

        Args:
            pixels: Images, ``(N, C, H, W)`` uint8.
            channels_last: Memory format of the result, and preferably of ``pixels``.

        Returns:
            Augmented images, ``(N, C, H, W)`` uint8.
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
        # Overlapping view of all slices of W * K elements; it allocates no memory.
        pieces = both.view(-1).as_strided((both.numel() - width * size + 1, width * size), (1, 1))
        crops = pieces.index_select(0, start.view(-1)).view_as(planes)
        return crops[:, 0].permute(0, 3, 1, 2) if channels_last else crops[..., 0]
