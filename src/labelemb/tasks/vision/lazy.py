"""Images that are decoded each time they are used, for data sets that do not fit into memory."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelemb.files import cache_folder, write_text

T = TypeVar("T")
Content = bytes | Path
Pixels = NDArray[np.uint8]


class LazyPixels:
    """N images that are decoded by several threads when they are used; the pixels are those of ``decode``.

    Args:
        contents: Encoded images: the bytes of a file, or its path.
        read: Decodes one of them to ``(C, H, W)``.
        image_shape: ``(C, H, W)``.
    """

    def __init__(
        self, contents: Sequence[Content], read: Callable[[Content], Pixels], image_shape: tuple[int, int, int]
    ) -> None:
        self._contents, self._read, self._image_shape = list(contents), read, image_shape
        self._decoding: dict[int, Future[Pixels]] = {}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return ``(N, C, H, W)``."""
        return len(self._contents), *self._image_shape

    def __len__(self) -> int:
        return len(self._contents)

    def __getitem__(self, rows: Tensor | slice) -> "LazyPixels":
        numbers = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        return LazyPixels([self._contents[number] for number in numbers], self._read, self._image_shape)

    def joined(self, other: "LazyPixels") -> "LazyPixels":
        """Return these images followed by others of the same shape."""
        return LazyPixels([*self._contents, *other._contents], self._read, self._image_shape)

    def select(self, rows: Tensor) -> Tensor:
        """Decode the images of the given rows ``(K,)``: ``(K, C, H, W)`` uint8."""
        images = [self._decoding.get(row) or self._submit(row) for row in rows.tolist()]
        pixels = np.empty((len(images), *self._image_shape), dtype=np.uint8)
        for place, image in enumerate(images):
            pixels[place] = image.result()
        return torch.from_numpy(pixels)

    def prefetch(self, rows: Tensor) -> None:
        """Start to decode the images of the given rows; all others that were prefetched are dropped."""
        self._decoding = {row: self._decoding.get(row) or self._submit(row) for row in rows.tolist()}

    @property
    def identity(self) -> str:
        """Return a digest of the files, their sizes and times: the key of cached statistics of the images."""
        sha = hashlib.sha256(str(self.shape).encode())
        for content in self._contents:
            if isinstance(content, bytes):
                sha.update(hashlib.sha256(content).digest())
            else:
                stat = content.stat()
                sha.update(f"{content} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return sha.hexdigest()

    def _submit(self, row: int) -> Future[Pixels]:
        return _pool().submit(self._read, self._contents[row])


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")


def remembered(name: str, key: str, compute: Callable[[], T]) -> T:
    """Return a value that JSON can store, computed once for each key and kept in the cache directory.

    Args:
        name: What it is; prefix of the file's name.
        key: Everything the value depends on.
        compute: Function that computes it.
    """
    digest = hashlib.sha256(json.dumps([name, key]).encode()).hexdigest()
    file = cache_folder() / "images" / f"{name}-{digest[:24]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged
        value: T = json.loads(file.read_text(encoding="utf-8"))["value"]
        return value
    value = compute()
    with contextlib.suppress(OSError):  # caching is optional
        write_text(file, json.dumps({"value": value}))
    return value
