"""Decode image files in parallel, with a progress bar on a terminal."""

import io
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from labelemb.errors import DataError, escape_control
from labelemb.memory import check_memory

CHUNK = 128
# Pillow supports more formats, some through external programs: it would pass EPS files to Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 50_000_000  # per image


def read_image(content: bytes | Path, channels: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode one image, rotated according to its EXIF data.

    Args:
        content: Contents or path of a file in one of ``FORMATS``, whatever its suffix.
        channels: 1 (gray) or 3 (RGB).
        size: Height and width; the image is center-cropped to this aspect ratio and resized. None: unchanged.

    Returns:
        Pixels, uint8 `(C, H, W)`.

    Raises:
        DataError: If the file is not an image, or has more than ``MAX_PIXELS`` pixels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS) as file:
            if file.width * file.height > MAX_PIXELS:
                raise ValueError(f"{file.width}x{file.height} pixels, more than {MAX_PIXELS:,}")
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # convert() would clip values above 255 instead of scaling
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError("32 bits per pixel, which have no defined range")
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and (image.height, image.width) != size:
                image = ImageOps.fit(image, (size[1], size[0]), method=Image.Resampling.BICUBIC)
            pixels = np.asarray(image, dtype=np.uint8)
    except Exception as error:  # Pillow raises many types for damaged files
        got = f"{len(content)} bytes" if isinstance(content, bytes) else str(content)
        raise DataError("image", f"an image ({', '.join(FORMATS)})", got, _reason(error)) from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _described(number: int, error: DataError) -> str:
    """Return what is wrong with the image at a position, in one line."""
    return f"image {number}: {error.got}" + (f" ({error.hint})" if error.hint else "")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "" if type(error).__name__ == "UnidentifiedImageError" else str(error) or type(error).__name__


def decode(
    contents: Sequence[bytes | Path],
    channels: int,
    size: tuple[int, int] | None,
    title: str,
    damaged: dict[int, str] | None = None,
) -> Tensor:
    """Decode images of equal size.

    Args:
        contents: Contents or paths of files, as for ``read_image``.
        channels: 1 (gray) or 3 (RGB).
        size: Height and width, as for ``read_image``.
        title: Description shown with the progress bar.
        damaged: Gets the position of each image that cannot be read, with the reason; its pixels have no meaning.
            None: such an image is an error.

    Returns:
        Pixels, uint8 `(N, C, H, W)`.

    Raises:
        DataError: If there are no images, one cannot be read, their sizes differ although ``size`` is None, or they do
            not fit into memory.
    """
    if not contents:
        raise DataError(title, "images", "none")
    first = _first_image(contents, channels, size, skip=damaged is not None)
    check_memory("data", f"{len(contents)} images of {first.shape[1]}x{first.shape[2]}", len(contents) * first.nbytes)
    pixels = np.empty((len(contents), *first.shape), dtype=np.uint8)

    def fill(start: int) -> int:
        for number in range(start, min(start + CHUNK, len(contents))):
            try:
                image = read_image(contents[number], channels, size)
            except DataError as error:
                if damaged is None:
                    raise
                damaged[number] = _described(number, error)
                continue
            if image.shape != first.shape:
                expected = f"images of equal size, {first.shape[1]}x{first.shape[2]}"
                raise DataError(title, expected, f"one of {image.shape[1]}x{image.shape[2]}", "Set image_size")
            pixels[number] = image
        return min(CHUNK, len(contents) - start)

    for_each_chunk(fill, len(contents), title)
    return torch.from_numpy(pixels)


def check_images(
    contents: Sequence[bytes | Path], read: Callable[[bytes | Path], object], title: str
) -> dict[int, str]:
    """Read every image once; return the position of each that cannot be read, with the reason.

    Args:
        contents: Files as for ``read_image``.
        read: Reads one of them.
        title: Shown beside the progress bar.
    """
    damaged: dict[int, str] = {}

    def check(start: int) -> int:
        for number in range(start, min(start + CHUNK, len(contents))):
            try:
                read(contents[number])
            except DataError as error:
                damaged[number] = _described(number, error)
        return min(CHUNK, len(contents) - start)

    for_each_chunk(check, len(contents), title)
    return damaged


def for_each_chunk(do: Callable[[int], int], count: int, title: str) -> None:
    """Call ``do(start)`` for every ``CHUNK`` of ``count`` items in several threads; it returns how many it has done."""
    console = Console(stderr=True)
    columns = (
        TextColumn("decoding {task.description}", markup=False),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        bar = progress.add_task(escape_control(title), total=count)
        try:
            for done in pool.map(do, range(0, count, CHUNK)):
                progress.advance(bar, done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def notice(text: str) -> None:
    """Print text to stderr, once: not in worker processes and not on the other ranks of a distributed run."""
    if multiprocessing.parent_process() is None and os.environ.get("RANK", "0") == "0":
        print(escape_control(text), file=sys.stderr)


def _first_image(
    contents: Sequence[bytes | Path], channels: int, size: tuple[int, int] | None, skip: bool
) -> NDArray[np.uint8]:
    """Return the first image, or the first that can be read."""
    for content in contents:
        try:
            return read_image(content, channels, size)
        except DataError:
            if not skip or content is contents[-1]:
                raise
    raise AssertionError


def is_jpeg(content: bytes | Path) -> bool:
    """Return whether a file is a JPEG, by its first bytes."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            content = file.read(3)
    return content[:3] == b"\xff\xd8\xff"
