"""Compressed images to pixels: any format that Pillow reads, several at a time, a bar on a terminal."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from labelemb.errors import DataError

CHUNK = 128


def read_image(content: bytes | Path, channels: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode one image: (C, H, W), grey for one channel, else RGB, turned as its EXIF says.

    content  the bytes of a file, or its path
    size     (H, W): the largest part of that aspect ratio around the middle, resized; None: as it is

    Raises DataError for what is no image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # convert() would cut off all above 255 instead of scaling
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError("32 bits a pixel, of which nobody says what is white")
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and (image.height, image.width) != size:
                image = ImageOps.fit(image, (size[1], size[0]), method=Image.Resampling.BICUBIC)
            pixels = np.asarray(image, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = f"{len(content)} bytes" if isinstance(content, bytes) else str(content)
        raise DataError("image", "a file that Pillow can read", what, " ".join(str(error).split())) from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode(contents: Sequence[bytes | Path], channels: int, size: tuple[int, int] | None, title: str) -> Tensor:
    """Decode many images of one size into (N, C, H, W) uint8; ``title`` stands beside the bar.

    Raises DataError for what is no image, for no images, and for images of several sizes when ``size`` is None.
    """
    if not contents:
        raise DataError(title, "images", "none")
    first = read_image(contents[0], channels, size)
    pixels = np.empty((len(contents), *first.shape), dtype=np.uint8)

    def fill(start: int) -> int:
        for number in range(start, min(start + CHUNK, len(contents))):
            image = read_image(contents[number], channels, size)
            if image.shape != first.shape:
                expected = f"images of one size, {first.shape[1]}x{first.shape[2]}"
                raise DataError(title, expected, f"one of {image.shape[1]}x{image.shape[2]}", "Set image_size")
            pixels[number] = image
        return min(CHUNK, len(contents) - start)

    console = Console(stderr=True)
    columns = (TextColumn("decoding {task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        bar = progress.add_task(title, total=len(contents))
        try:
            for done in pool.map(fill, range(0, len(contents), CHUNK)):
                progress.advance(bar, done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return torch.from_numpy(pixels)


def is_jpeg(content: bytes | Path) -> bool:
    """Say whether the content is a JPEG file, by its first bytes."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            content = file.read(3)
    return content[:3] == b"\xff\xd8\xff"
