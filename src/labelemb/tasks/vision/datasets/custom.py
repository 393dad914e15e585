"""Custom images: folders of images per label, or a data set of the Hugging Face Hub."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labelemb.errors import ConfigError, DataError
from labelemb.memory import gigabytes, total_memory
from labelemb.tasks.classification.splits import stratified_holdout
from labelemb.tasks.vision.datasets.cache import Decoded, cached
from labelemb.tasks.vision.datasets.decode import check_images, decode, is_jpeg, notice, read_image
from labelemb.tasks.vision.datasets.parquet import EXTRA, Encoded, checked, choose_label
from labelemb.tasks.vision.images import ImageData, Images, channel_statistics
from labelemb.tasks.vision.lazy import LazyPixels, remembered

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
SPLITS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}
SIZE = 32  # default side length
MIN_TRAINING_IMAGES = 10
MAX_FILE_SIZE = 2**28  # bytes
COPIES = 3  # of the decoded images, while they are split and moved to the device
SKIP = "--skip_damaged true leaves such images out"
SHOWN = 5  # damaged images that are named


def load_imagefolder(path: Path, image_size: int | None, skip_damaged: bool = False) -> ImageData:
    """Load images from one folder per label.

    Without a test split, a fixed stratified 20 % of the training images are held out as one.

    Args:
        path: Folder with one folder of images per label, or with such folders in ``train``, ``test`` and optionally
            ``valid``.
        image_size: Side length that images are cropped and resized to. Default: 32.
        skip_damaged: Whether images that cannot be read are left out and named; otherwise they are an error.

    Returns:
        The data set, normalized by the mean and standard deviation of the training images.

    Raises:
        DataError: If folders are missing, a label has no training image, or an image cannot be read.
    """
    splits = {split: _subfolder(path, names) for split, names in SPLITS.items()}
    parts = {split: part for split, part in splits.items() if part is not None}
    if "train" not in parts:
        parts = {"train": path}
    names = label_folders(parts["train"])
    side = image_size or SIZE
    decoded = read_folders(parts, names, (side, side), path.name, skip_damaged=skip_damaged)
    present = set(decoded.splits["train"].labels.tolist())
    if absent := [name for label, name in enumerate(names) if label not in present]:
        raise DataError(str(parts["train"] / absent[0]), "one training image or more of each label", "none")
    return _finish(decoded, str(path))


def load_hub(name: str, image_size: int | None, level: str, skip_damaged: bool = False) -> ImageData:
    """Load a data set of the Hugging Face Hub; splits are completed as in ``load_imagefolder``.

    Args:
        name: Id on the Hub, or a folder that ``datasets.load_dataset`` can load.
        image_size: Side length that images are cropped and resized to. Default: 32.
        level: Label granularity, where the data set has a column ``LEVEL_label``.
        skip_damaged: As in ``load_imagefolder``.

    Returns:
        The data set, normalized by the mean and standard deviation of the training images.

    Raises:
        ConfigError: If the package ``datasets`` is not installed.
        DataError: If the data set cannot be loaded, or has no labeled training images.
    """
    encoded = _from_hub(name, level)
    if "train" not in encoded:
        raise DataError(f"hub:{name}", "a split 'train'", ", ".join(encoded) or "none with labels")
    label_names = encoded["train"].label_names
    size = image_size or SIZE
    sha = hashlib.sha256()
    for rows in encoded.values():
        for content, label in zip(rows.contents, rows.labels, strict=True):
            sha.update(f"{len(content)} {label} ".encode() + content)

    def read() -> Decoded:
        rows = {split: (rows.contents, rows.labels) for split, rows in encoded.items()}
        return decode_splits(rows, label_names, 3, (size, size), skip_damaged)

    skipping = ["skip_damaged"] if skip_damaged else []
    sources = [str(size), *label_names, *encoded, sha.hexdigest(), *skipping]
    return _finish(cached("hub", sources, read), f"hub:{name}")


def label_folders(folder: Path) -> list[str]:
    """Return the labels: the sorted names of the folders in ``folder``. Raises DataError for fewer than two."""
    if not folder.is_dir():
        raise DataError("imagefolder", "a folder with a folder of images per label", f"no folder {folder}")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if unreadable := [name for name in names if not name.isprintable()]:
        raise DataError(str(folder), "names of labels in UTF-8, without control characters", unreadable[0])
    if len(names) < 2:
        raise DataError("imagefolder", "at least two folders, one per label", f"{len(names)} in {folder}")
    return names


def read_folders(
    parts: Mapping[str, Path],
    names: Sequence[str],
    size: tuple[int, int],
    title: str,
    channels: int = 3,
    skip_damaged: bool = False,
) -> Decoded:
    """Read the images in FOLDER/LABEL/... of each split.

    Args:
        parts: Folder by split.
        names: Labels in index order; folders may be missing.
        size: Height and width that images are cropped and resized to.
        title: Name of the data set in the cache.
        channels: 1 (gray) or 3 (RGB).
        skip_damaged: As in ``load_imagefolder``.

    Returns:
        The decoded images.

    Raises:
        DataError: If a folder is not among ``names``, a split has no images, or a file is not an image.
    """
    files: dict[str, list[tuple[Path, int]]] = {}
    for split, part in parts.items():
        if unknown := sorted(set(label_folders(part)) - set(names)):
            expected = f"only folders named after labels: {', '.join(names)}"
            raise DataError(str(part), expected, ", ".join(unknown))
        files[split] = [(file, label) for label, name in enumerate(names) for file in image_files(part / name)]
        if not files[split]:
            raise DataError(str(part), f"images ({' '.join(sorted(SUFFIXES))}) in folders per label", "none")
    stats = [(split, str(file), label, file.stat()) for split in files for file, label in files[split]]
    sources = [f"{split} {file} {label} {stat.st_size} {stat.st_mtime_ns}" for split, file, label, stat in stats]

    def read() -> Decoded:
        rows = {split: ([file for file, _ in rows], [label for _, label in rows]) for split, rows in files.items()}
        return decode_splits(rows, tuple(names), channels, size, skip_damaged)

    skipping = ["skip_damaged"] if skip_damaged else []
    return cached(f"folder-{title}", [f"{channels} {size[0]} {size[1]}", *names, *sources, *skipping], read)


def decode_splits(
    splits: Mapping[str, tuple[Sequence[bytes | Path], Sequence[int]]],
    label_names: tuple[str, ...],
    channels: int,
    size: tuple[int, int],
    skip_damaged: bool,
) -> Decoded:
    """Decode the images of all splits, or leave them encoded where they do not fit into memory.

    Args:
        splits: Name -> encoded images and their labels.
        label_names: Label names in index order.
        channels: 1 or 3.
        size: Height and width.
        skip_damaged: As for ``load_imagefolder``.

    Raises:
        DataError: An image cannot be read.
    """
    count = sum(len(contents) for contents, _ in splits.values())
    needed = COPIES * count * channels * size[0] * size[1]
    lazy = needed > total_memory()
    if lazy:
        sizes = f"{gigabytes(needed)} for {count:,} images of {size[0]}x{size[1]}, of {gigabytes(total_memory())}"
        notice(f"memory: {sizes}; images are decoded each time they are used. A smaller --image_size needs less")
    read = partial(_read_image, channels=channels, size=size)
    found, reasons = {}, []
    for split, (contents, labels) in splits.items():
        damaged: dict[int, str] = {}
        title, pixels = f"{split} images", None
        if not lazy:
            with _explained():
                pixels = decode(contents, channels, size, title, damaged if skip_damaged else None)
        elif skip_damaged:
            damaged = check_images(contents, read, title)
        kept = torch.tensor([number for number in range(len(contents)) if number not in damaged], dtype=torch.int64)
        images = LazyPixels(contents, read, (channels, *size)) if pixels is None else pixels
        split_images = Images(images, torch.tensor(labels))
        found[split] = split_images[kept] if damaged else split_images
        reasons += [damaged[number] for number in sorted(damaged)]
    jpeg = any(is_jpeg(content) for contents, _ in splits.values() for content in contents)
    return Decoded(found, label_names, jpeg, tuple(reasons))


def _read_image(content: bytes | Path, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    with _explained():
        return read_image(content, channels, size)


@contextmanager
def _explained() -> Iterator[None]:
    """Add to the error of a damaged image how to leave it out."""
    try:
        yield
    except DataError as error:
        hint = " ".join(filter(None, [error.hint and f"{error.hint}.", SKIP]))
        raise DataError(error.argument, error.expected, error.got, hint) from error


def _finish(decoded: Decoded, source: str) -> ImageData:
    """Hold out a test split if there is none, and compute mean and standard deviation of the training images."""
    splits = dict(decoded.splits)
    if len(splits["train"]) < MIN_TRAINING_IMAGES:
        raise DataError(source, f"at least {MIN_TRAINING_IMAGES} training images", len(splits["train"]))
    if "test" not in splits:
        kept, held = stratified_holdout(splits["train"].labels, len(splits["train"]) // 5, seed=0)
        splits |= {"train": splits["train"][kept], "test": splits["train"][held]}
    train, note = splits["train"], ""
    if decoded.damaged:
        count = len(decoded.damaged)
        note, more = f"{count} damaged image{'s' * (count > 1)} skipped", count - SHOWN
        notice("\n".join([f"{note}:", *decoded.damaged[:SHOWN], *([f"and {more} more"] if more > 0 else [])]))
    if isinstance(train.pixels, LazyPixels):
        mean, std = remembered("statistics", train.identity, lambda: channel_statistics(train))
    else:
        mean, std = channel_statistics(train)
    return ImageData(train, splits.get("valid"), splits["test"], decoded.label_names, tuple(mean), tuple(std), note)


def _subfolder(path: Path, names: Sequence[str]) -> Path | None:
    return next((path / name for name in names if (path / name).is_dir()), None)


def image_files(folder: Path) -> list[Path]:
    """Return the sorted image files in a folder and its subfolders, selected by suffix."""
    files = (file for file in folder.rglob("*") if not file.name.startswith("."))  # macOS writes ._NAME beside NAME
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())


def _read_file(path: Path) -> bytes:
    """Read a file that a data set refers to. Raises DataError if it is not a regular file of at most MAX_FILE_SIZE."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_SIZE:
        raise DataError("dataset", f"an image file of at most {MAX_FILE_SIZE:,} bytes", path)
    return path.read_bytes()


def _from_hub(name: str, level: str) -> dict[str, Encoded]:
    """Return the labeled splits with encoded images."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError("dataset", "the package 'datasets', which loads hub:ID", "not installed", EXTRA) from error
    try:
        found = datasets.load_dataset(name)
        splits = {split: found[key] for split, names in SPLITS.items() for key in names if key in found}
        encoded = {split: _encoded(rows, level, f"hub:{name}, {split}") for split, rows in splits.items()}
    except DataError:
        raise
    except Exception as error:  # network, Hub and file readers raise many types
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DataError("dataset", f"a loadable data set '{name}'", reason) from error
    return {split: rows for split, rows in encoded.items() if rows is not None}


def _encoded(rows: "datasets.Dataset", level: str, source: str) -> Encoded | None:  # type: ignore[name-defined] # noqa: F821
    import datasets

    features = rows.features
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    if not images:
        raise DataError(source, "a column of images", ", ".join(features))
    label = choose_label([name for name, f in features.items() if isinstance(f, datasets.ClassLabel)], level, source)
    labels = list(rows[label])
    if all(number == -1 for number in labels):  # the Hub's convention for undisclosed labels
        return None
    stored = rows.cast_column(images[0], datasets.Image(decode=False))[images[0]]
    contents = [row["bytes"] or _read_file(Path(row["path"])) for row in stored]
    return checked(contents, labels, features[label].names, source)
