"""The official CIFAR archives, python and binary version, as tar.gz or unpacked."""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch

from labelemb.errors import DataError
from labelemb.tasks.vision.datasets.cache import Decoded
from labelemb.tasks.vision.datasets.unpickle import unpickle_plain
from labelemb.tasks.vision.images import Images, join

Level = Literal["fine", "coarse"]
SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """The files of one archive.

    archive  name of the tar.gz; folder: what it unpacks to
    train    the training batches in order; test: the test batch; names: the file with the label names
    parse    (contents, file name, level) -> images; read_names: (contents, level) -> label names
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: dict[Level, str]
    parse: Callable[[bytes, str, Level], Images]
    read_names: Callable[[bytes, Level], tuple[str, ...]]

    def decode(self, place: Path, level: Level) -> Decoded:
        """Read everything from the tar.gz or the folder. Raises DataError for what is missing or damaged."""
        wanted = [*self.train, self.test, self.names[level]]
        contents = read_members(place, wanted)
        if missing := [name for name in wanted if name not in contents]:
            raise DataError(str(place), "the files " + ", ".join(wanted), f"no {', '.join(missing)}")
        names = self.read_names(contents[self.names[level]], level)
        train = join([self.parse(contents[name], name, level) for name in self.train])
        splits = {"train": train, "test": self.parse(contents[self.test], self.test, level)}
        for split, images in splits.items():
            if len(images) and not 0 <= int(images.labels.min()) <= int(images.labels.max()) < len(names):
                raise DataError(f"{place}, {split}", f"labels 0 to {len(names) - 1}", int(images.labels.max()))
        return Decoded(splits, names)


def read_members(place: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Return the contents of the wanted files of a folder or a tar.gz by name; nothing is unpacked to disk."""
    if place.is_dir():
        return {name: (place / name).read_bytes() for name in wanted if (place / name).is_file()}
    found = {}
    try:
        with gzip.open(place) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if name in wanted and member.isfile() and (file := archive.extractfile(member)) is not None:
                        found[name] = file.read()
            while stream.read(1 << 20):  # to its end, where the checksum of all that came before is
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(str(place), "a tar.gz archive that can be read", " ".join(str(error).split())) from error
    return found


def parse_python(content: bytes, name: str, level: Level) -> Images:
    """Read a pickled batch: b"data" (N, 3072) uint8, and b"labels", or b"fine_labels" and b"coarse_labels"."""
    batch = unpickle_plain(content, name)
    labels = batch.get(b"labels", batch.get(f"{level}_labels".encode())) if isinstance(batch, dict) else None
    pixels = batch.get(b"data") if isinstance(batch, dict) else None
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        raise DataError(name, f"data of shape (N, {PIXELS})", getattr(pixels, "shape", "none"))
    fine = isinstance(labels, list) and all(type(label) is int and 0 <= label < 256 for label in labels)
    if not isinstance(labels, list) or not fine or len(labels) != len(pixels):
        raise DataError(name, f"{len(pixels)} whole numbers from 0 as labels", _kind_of(labels))
    return Images(torch.from_numpy(pixels.copy()).view(-1, *SHAPE), torch.tensor(labels, dtype=torch.int64))


def parse_binary(content: bytes, name: str, level: Level, label_bytes: int) -> Images:
    """Read records of ``label_bytes`` labels (coarse before fine) and 3072 pixels, a byte each."""
    size = label_bytes + PIXELS
    if len(content) % size:
        raise DataError(name, f"records of {size} bytes", f"{len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    which = 0 if level == "coarse" else label_bytes - 1
    labels = torch.from_numpy(records[:, which].astype(np.int64))
    return Images(torch.from_numpy(records[:, label_bytes:].copy()).view(-1, *SHAPE), labels)


def python_names(content: bytes, level: Level) -> tuple[str, ...]:
    """Read the label names of a pickled meta file."""
    meta = unpickle_plain(content, "meta")
    names = meta.get(b"label_names", meta.get(f"{level}_label_names".encode())) if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise DataError("meta", "a list of label names", _kind_of(names))
    return _decoded(b"\n".join(names)) if names else ()


def binary_names(content: bytes, level: Level) -> tuple[str, ...]:
    """Read the label names of a text file, one a line."""
    return tuple(line.strip() for line in _decoded(content) if line.strip())


def _decoded(content: bytes) -> tuple[str, ...]:
    """Return lines of UTF-8."""
    try:
        return tuple(content.decode().splitlines())
    except UnicodeDecodeError as error:
        raise DataError("meta", "label names in UTF-8", error) from error


def _kind_of(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, list) else type(value).__name__
