"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) from parquet files, the official archives or a download."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from labelemb.downloads import fetch
from labelemb.errors import DataError
from labelemb.tasks.vision.datasets.cache import Decoded, cached, digest_of_file
from labelemb.tasks.vision.datasets.cifar_archives import (
    Layout,
    Level,
    binary_names,
    parse_binary,
    parse_python,
    python_names,
)
from labelemb.tasks.vision.datasets.decode import decode, is_jpeg
from labelemb.tasks.vision.datasets.parquet import find_parquet, read_parquet
from labelemb.tasks.vision.images import ImageData, Images

SOURCE = "https://www.cs.toronto.edu/~kriz/"
OFFICIAL = {"train": 50_000, "test": 10_000}


@dataclass(frozen=True)
class Cifar:
    """Description of CIFAR-10 or CIFAR-100.

    Attributes:
        name: Data set name as in ``datasets.load``.
        title: Display name.
        layouts: Layouts of the official archives, the Python version first.
        md5: MD5 checksum of the official Python archive.
        mean: Per-channel mean of the official (lossless) training images.
        std: Per-channel standard deviation of the official (lossless) training images.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    md5: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_FINE_AND_COARSE: tuple[Level, Level] = ("fine", "coarse")
CIFAR10 = Cifar(
    name="cifar10",
    title="CIFAR-10",
    layouts=(
        Layout(
            archive="cifar-10-python.tar.gz",
            folder="cifar-10-batches-py",
            train=_BATCHES,
            test="test_batch",
            names={"fine": "batches.meta"},
            parse=parse_python,
            read_names=python_names,
        ),
        Layout(
            archive="cifar-10-binary.tar.gz",
            folder="cifar-10-batches-bin",
            train=tuple(f"{batch}.bin" for batch in _BATCHES),
            test="test_batch.bin",
            names={"fine": "batches.meta.txt"},
            parse=partial(parse_binary, label_bytes=1),
            read_names=binary_names,
        ),
    ),
    md5="c58f30108f718f92721af3b95e74349a",
    mean=(0.49140, 0.48216, 0.44653),
    std=(0.24703, 0.24349, 0.26159),
)
CIFAR100 = Cifar(
    name="cifar100",
    title="CIFAR-100",
    layouts=(
        Layout(
            archive="cifar-100-python.tar.gz",
            folder="cifar-100-python",
            train=("train",),
            test="test",
            names=dict.fromkeys(_FINE_AND_COARSE, "meta"),
            parse=parse_python,
            read_names=python_names,
        ),
        Layout(
            archive="cifar-100-binary.tar.gz",
            folder="cifar-100-binary",
            train=("train.bin",),
            test="test.bin",
            names={level: f"{level}_label_names.txt" for level in _FINE_AND_COARSE},
            parse=partial(parse_binary, label_bytes=2),
            read_names=binary_names,
        ),
    ),
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    mean=(0.50707516, 0.48654887, 0.44091784),
    std=(0.26733429, 0.25643846, 0.27615047),
)


def load_cifar(cifar: Cifar, folder: Path | None, level: Level) -> ImageData:
    """Load CIFAR from ``folder`` or ``folder/NAME``.

    Supported are parquet files (``train*.parquet`` and ``test*.parquet``) and the official archives, packed or
    unpacked. The training split holds all official training images; see ``ImageData.validated`` for validation.

    Args:
        cifar: ``CIFAR10`` or ``CIFAR100``.
        folder: Folder with the files. Default: download the official archive.
        level: Label granularity, ``fine`` or ``coarse``.

    Returns:
        The data set; its note states deviations from the official data (JPEG compression, a subset).

    Raises:
        DataError: If files are missing or damaged.
    """
    if folder is None:
        folder = fetch(SOURCE, cifar.layouts[0].archive, f"md5:{cifar.md5}", "", _expected_files(cifar)).parent
    decoded = _decoded(cifar, folder, level)
    sizes = {split: len(images) for split, images in decoded.splits.items()}
    title = f"JPEG-compressed {cifar.title}" if decoded.jpeg else cifar.title
    part = sizes != OFFICIAL
    note = f"a part of {title}: {sizes['train']} + {sizes['test']} images" if part else title if decoded.jpeg else ""
    return ImageData(
        train=decoded.splits["train"],
        valid=None,
        test=decoded.splits["test"],
        label_names=decoded.label_names,
        mean=cifar.mean,
        std=cifar.std,
        note=note,
    )


def _decoded(cifar: Cifar, folder: Path, level: Level) -> Decoded:
    parquet = {split: find_parquet(folder, cifar.name, split) for split in OFFICIAL}
    if all(parquet.values()):
        files = [file for found in parquet.values() for file in found]
        digests = [digest_of_file(file) for file in files]
        found = cached(f"{cifar.name}-{level}", ["parquet", level, *digests], lambda: _from_parquet(parquet, level))
        return _expect_labels(cifar, found, files[0], level)
    for layout, place in _places(cifar, folder):
        files = [place] if place.is_file() else sorted(file for file in place.iterdir() if file.is_file())
        digests = [digest_of_file(file) for file in files]
        read = partial(layout.decode, place, level)
        found = cached(f"{cifar.name}-{level}", [layout.folder, level, *digests], read)
        return _expect_labels(cifar, found, place, level)
    raise DataError("data", _expected_files(cifar), f"none of them in {folder} or {folder / cifar.name}")


def _expect_labels(cifar: Cifar, found: Decoded, place: Path, level: Level) -> Decoded:
    """Raise DataError for files of the other CIFAR, which would train without an error."""
    expected = 20 if level == "coarse" else int(cifar.title.removeprefix("CIFAR-"))
    if len(found.label_names) != expected:
        raise DataError(str(place), f"{cifar.title} with {expected} labels", f"{len(found.label_names)} labels")
    return found


def _places(cifar: Cifar, folder: Path) -> Iterator[tuple[Layout, Path]]:
    """Yield the existing archives with their layouts, unpacked ones first; ``folder`` itself may be one."""
    for layout in cifar.layouts:
        meta = next(iter(layout.names.values()))
        for place in (folder, folder / layout.folder, folder / cifar.name, folder / cifar.name / layout.folder):
            if (place / meta).is_file() and (place / layout.test).is_file():
                yield layout, place
        for file in (folder / layout.archive, folder / cifar.name / layout.archive):
            if file.is_file():
                yield layout, file


def _from_parquet(files: dict[str, list[Path]], level: Level) -> Decoded:
    splits, names, jpeg = {}, set(), False
    for split, found in files.items():
        rows = read_parquet(found, level)
        splits[split] = Images(decode(rows.contents, 3, (32, 32), f"{split} images"), torch.tensor(rows.labels))
        names.add(rows.label_names)
        jpeg = jpeg or any(map(is_jpeg, rows.contents))
    if len(names) > 1:
        raise DataError(str(files["test"][0]), "the label names of the training images", "other ones")
    return Decoded(splits, names.pop(), jpeg)


def _expected_files(cifar: Cifar) -> str:
    archives = ", ".join(f"{layout.archive} or {layout.folder}/" for layout in cifar.layouts)
    return f"a folder with train*.parquet and test*.parquet, or {archives}"
