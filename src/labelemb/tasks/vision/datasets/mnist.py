"""MNIST (LeCun, Cortes, Burges) from its four IDX files, gzipped or not, or a download."""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelemb.documents import read_content
from labelemb.downloads import fetch
from labelemb.errors import DataError
from labelemb.tasks.vision.images import ImageData, Images

# SHA-256 of the uncompressed contents, since the .gz files differ between mirrors.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
LARGEST = 2**26  # bytes of a file
MOST_AXES = 8
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
VALIDATION_IMAGES = 5_000  # the first ones of the training set, as published


def load_mnist(folder: Path | None) -> ImageData:
    """Load MNIST from ``folder`` or ``folder/mnist``.

    Pixels are in [0, 1] without normalization, as in the published recipes.

    Args:
        folder: Folder with the files. Default: download them.

    Returns:
        The data set; the first 5,000 training images are the validation split.

    Raises:
        DataError: If files are missing or damaged.
    """
    contents = [_read(name, folder) for name in FILES]
    train, test = (
        Images(parse_idx(images)[:, None], parse_idx(labels).long()) for images, labels in (contents[:2], contents[2:])
    )
    return ImageData(
        train=train[slice(VALIDATION_IMAGES, None)],
        valid=train[slice(VALIDATION_IMAGES)],
        test=test,
        label_names=tuple(str(digit) for digit in range(10)),
        mean=(0.0,),
        std=(1.0,),
    )


def parse_idx(content: bytes) -> Tensor:
    """Parse an IDX file of unsigned bytes.

    Args:
        content: Contents of the file: bytes 0, 0, 8 (the type), the number of axes, each length as a big-endian
            32-bit integer, and the values.

    Returns:
        The values, uint8.

    Raises:
        DataError: If the content is not such a file.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError("IDX file", "the header 0, 0, 8, number of axes, lengths", content[:4])
    axes = content[3]
    if axes > MOST_AXES:
        raise DataError("IDX file", f"at most {MOST_AXES} axes", axes)
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    values = np.frombuffer(content[4 + 4 * axes :], dtype=np.uint8)
    if values.size != math.prod(shape):
        raise DataError("IDX file", f"{math.prod(shape)} bytes for shape {tuple(shape)}", values.size)
    try:
        return torch.from_numpy(values.reshape(shape).copy())
    except ValueError as error:  # no values, and lengths beside the 0 that no array can have
        raise DataError("IDX file", "lengths of an array", tuple(shape)) from error


def _read(name: str, folder: Path | None) -> bytes:
    """Return the uncompressed contents of an MNIST file after verifying its digest."""
    path = _find(name, folder) if folder is not None else fetch(SOURCE, f"{name}.gz", None, "mnist", _expected_files())
    content = read_content(path, "a file of MNIST", LARGEST, gzipped=path.suffix == ".gz")
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILES[name]:
        raise DataError(
            str(path), f"contents with sha256 {FILES[name]}", digest, "Delete the file and download it again"
        )
    return content


def _find(name: str, folder: Path) -> Path:
    candidates = [place / file for place in (folder, folder / "mnist") for file in (name, f"{name}.gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError("data", _expected_files(), f"no {name}[.gz] in {folder} or {folder / 'mnist'}")


def _expected_files() -> str:
    return "a folder with " + ", ".join(f"{name}[.gz]" for name in FILES)
