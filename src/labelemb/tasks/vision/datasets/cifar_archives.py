"""Read the official CIFAR archives, Python and binary version, packed (tar.gz) or unpacked."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch

from labelemb.documents import read_content
from labelemb.errors import DataError
from labelemb.tasks.vision.datasets.cache import Decoded
from labelemb.tasks.vision.datasets.unpickle import unpickle_plain
from labelemb.tasks.vision.images import Images, join

Level = Literal["fine", "coarse"]
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
LARGEST = 2**28  # bytes of a file; the largest has 155 MB


@dataclass(frozen=True)
class Layout:
    """Files and format of one archive.

    Attributes:
        archive: File name of the tar.gz.
        folder: Folder that the archive unpacks to.
        train: File names of the training batches, in order.
        test: File name of the test batch.
        names: File name of the label names by level.
        parse: Reads a batch; called as ``parse(contents, file_name, level)``.
        read_names: Reads the label names; called as ``read_names(contents, level)``.
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: dict[Level, str]
    parse: Callable[[bytes, str, Level], Images]
    read_names: Callable[[bytes, Level], tuple[str, ...]]

    def decode(self, place: Path, level: Level) -> Decoded:
        """Read all splits.

        Args:
            place: The tar.gz or the unpacked folder.
            level: Label granularity.

        Returns:
            The images by split, and the label names.

        Raises:
            DataError: If files are missing or damaged.
        """
        files = [*self.train, self.test, self.names[level]]
        contents = read_members(place, files)
        if missing := [name for name in files if name not in contents]:
            raise DataError(str(place), "the files " + ", ".join(files), f"no {', '.join(missing)}")
        names = self.read_names(contents[self.names[level]], level)
        train = join([self.parse(contents[name], name, level) for name in self.train])
        splits = {"train": train, "test": self.parse(contents[self.test], self.test, level)}
        for split, images in splits.items():
            if len(images) and not 0 <= int(images.labels.min()) <= int(images.labels.max()) < len(names):
                raise DataError(f"{place}, {split}", f"labels 0 to {len(names) - 1}", int(images.labels.max()))
        return Decoded(splits, names)


def read_members(place: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Read files of a folder or a tar.gz into memory.

    Args:
        place: The folder or the tar.gz, which is not unpacked to disk.
        wanted: File names, without folders.

    Returns:
        Contents by file name, without missing files.

    Raises:
        DataError: If the archive is damaged.
    """
    if place.is_dir():
        paths = {name: place / name for name in wanted if (place / name).is_file()}
        return {name: read_content(path, "a file of CIFAR", LARGEST) for name, path in paths.items()}
    found = {}
    try:
        with gzip.open(place) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if name in wanted and member.isfile() and (file := archive.extractfile(member)) is not None:
                        if member.size > LARGEST:
                            raise DataError(
                                str(place), f"files of at most {LARGEST:,} bytes", f"{name}: {member.size:,}"
                            )
                        found[name] = file.read()
            while stream.read(1 << 20):  # read to the end, where gzip verifies the checksum
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(str(place), "a readable tar.gz archive", " ".join(str(error).split())) from error
    return found


def parse_python(content: bytes, name: str, level: Level) -> Images:
    """Read a batch of the Python version.

    Args:
        content: Pickle of a dict with ``b"data"``, uint8 `(N, 3072)`, and ``b"labels"`` (CIFAR-10) or
            ``b"fine_labels"`` and ``b"coarse_labels"`` (CIFAR-100).
        name: File name for error messages.
        level: Label granularity.

    Returns:
        The images, `(N, 3, 32, 32)`, with labels.

    Raises:
        DataError: If the content has another structure.
    """
    batch = unpickle_plain(content, name)
    labels = batch.get(b"labels", batch.get(f"{level}_labels".encode())) if isinstance(batch, dict) else None
    pixels = batch.get(b"data") if isinstance(batch, dict) else None
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        raise DataError(name, f"data of shape (N, {PIXELS})", getattr(pixels, "shape", "none"))
    valid = isinstance(labels, list) and all(type(label) is int and 0 <= label < 256 for label in labels)
    if not isinstance(labels, list) or not valid or len(labels) != len(pixels):
        raise DataError(name, f"{len(pixels)} whole numbers from 0 to 255 as labels", _describe(labels))
    return Images(torch.from_numpy(pixels.copy()).view(-1, *SHAPE), torch.tensor(labels, dtype=torch.int64))


def parse_binary(content: bytes, name: str, level: Level, label_bytes: int) -> Images:
    """Read a batch of the binary version.

    Args:
        content: Records of ``label_bytes`` labels (the coarse before the fine one) and 3072 pixels, one byte each.
        name: File name for error messages.
        level: Label granularity.
        label_bytes: Number of labels per record.

    Returns:
        The images, `(N, 3, 32, 32)`, with labels.

    Raises:
        DataError: If the size is not a multiple of the record size.
    """
    size = label_bytes + PIXELS
    if len(content) % size:
        raise DataError(name, f"records of {size} bytes", f"{len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    column = 0 if level == "coarse" else label_bytes - 1
    labels = torch.from_numpy(records[:, column].astype(np.int64))
    return Images(torch.from_numpy(records[:, label_bytes:].copy()).view(-1, *SHAPE), labels)


def python_names(content: bytes, level: Level) -> tuple[str, ...]:
    """Read the label names from the pickled meta file. Raises DataError if it has none."""
    meta = unpickle_plain(content, "meta")
    names = meta.get(b"label_names", meta.get(f"{level}_label_names".encode())) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise DataError("meta", "a list of label names", _describe(names))
    return _decoded(b"\n".join(names)) if names else ()


def binary_names(content: bytes, level: Level) -> tuple[str, ...]:
    """Read the label names from a text file with one name per line. Raises DataError if it is not UTF-8."""
    return tuple(line.strip() for line in _decoded(content) if line.strip())


def _decoded(content: bytes) -> tuple[str, ...]:
    """Decode UTF-8 and split it into lines."""
    try:
        return tuple(content.decode().splitlines())
    except UnicodeDecodeError as error:
        raise DataError("meta", "label names in UTF-8", error) from error


def _describe(value: Any) -> str:
    return f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
