"""Operations on batches of uint8 images ``(N, C, H, W)`` that give what Pillow gives image by image.

Each takes one strength per image, ``(N,)``.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = (19595, 38470, 7471)  # of 65536: Pillow's weights of red, green and blue


def brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    """As ``ImageEnhance.Brightness(image).enhance(factor)``."""
    return _blend(torch.zeros_like(pixels, dtype=torch.float32), pixels, factor)


def color(pixels: Tensor, factor: Tensor) -> Tensor:
    """As ``ImageEnhance.Color(image).enhance(factor)``."""
    return _blend(_grey(pixels).float(), pixels, factor)


def contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    """As ``ImageEnhance.Contrast(image).enhance(factor)``."""
    mean = (_grey(pixels).double().mean((1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(mean.float(), pixels, factor)


def sharpness(pixels: Tensor, factor: Tensor) -> Tensor:
    """As ``ImageEnhance.Sharpness(image).enhance(factor)``."""
    smooth = pixels.float()
    if min(pixels.shape[2:]) >= 3:
        kernel = torch.ones(1, 1, 3, 3, device=pixels.device)
        kernel[0, 0, 1, 1] = 5
        planes = smooth.reshape(-1, 1, *pixels.shape[2:])  # (N * C, 1, H, W)
        inner = (F.conv2d(planes, kernel / 13) + 0.5).floor()
        smooth = smooth.clone(memory_format=torch.contiguous_format)
        smooth[:, :, 1:-1, 1:-1] = inner.view(*pixels.shape[:2], *inner.shape[2:])
    return _blend(smooth, pixels, factor)


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """As ``ImageOps.posterize(image, bits)``."""
    mask = 256 - 2 ** (8 - bits.long())
    return pixels & _per_image(mask).to(torch.uint8)


def solarize(pixels: Tensor, threshold: Tensor) -> Tensor:
    """As ``ImageOps.solarize(image, threshold)``."""
    return torch.where(pixels < _per_image(threshold), pixels, 255 - pixels)


def autocontrast(pixels: Tensor, _: Tensor) -> Tensor:
    """As ``ImageOps.autocontrast(image)``."""
    low, high = pixels.amin((2, 3), keepdim=True).double(), pixels.amax((2, 3), keepdim=True).double()
    scale = 255 / (high - low).clamp(min=1)
    stretched = (pixels * scale - low * scale).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, pixels)


def equalize(pixels: Tensor, _: Tensor) -> Tensor:
    """As ``ImageOps.equalize(image)``."""
    flat = pixels.flatten(2).flatten(0, 1).long()  # (N * C, H * W)
    counts = torch.zeros(len(flat), 256, dtype=torch.int64, device=pixels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    last = counts.gather(1, flat.amax(1, keepdim=True))  # pixels of the brightest level
    step = (flat.shape[1] - last) // 255  # (N * C, 1)
    before = counts.cumsum(1) - counts
    levels = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    levels = torch.where(step > 0, levels, torch.arange(256, device=pixels.device))
    return levels.gather(1, flat).to(torch.uint8).view(pixels.shape)


def _grey(pixels: Tensor) -> Tensor:
    """Return the brightness as Pillow rounds it, ``(N, 1, H, W)`` int64."""
    if pixels.shape[1] == 1:
        return pixels.long()
    weights = torch.tensor(GREY, device=pixels.device).view(1, 3, 1, 1)
    return ((pixels.long() * weights).sum(1, keepdim=True) + 0x8000) >> 16


def _blend(degenerate: Tensor, pixels: Tensor, factor: Tensor) -> Tensor:
    """Return ``degenerate + factor * (pixels - degenerate)`` as uint8; like Pillow it cuts off fractions."""
    mixed = degenerate + _per_image(factor).float() * (pixels.float() - degenerate)
    return mixed.clamp(0, 255).to(torch.uint8)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]
