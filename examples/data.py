"""scikit-learn's digits as tensors: 1,797 images of 8x8 with ten labels. Needs no download."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images (1400, 64), labels (1400,), test images (397, 64) and labels (397,)."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images, labels = torch.tensor(data.data / 16, dtype=torch.float32)[order], torch.tensor(data.target)[order]
    return images[:1400], labels[:1400], images[1400:], labels[1400:]
