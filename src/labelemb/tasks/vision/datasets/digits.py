"""The digits of scikit-learn: 1,797 images of 8x8 pixels, included in the package."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labelemb.tasks.classification.splits import stratified_holdout
from labelemb.tasks.vision.images import ImageData, Images


def load_digits(folder: Path | None = None) -> ImageData:
    """Load the digits; a fixed stratified 20 % are the test split and 10 % the validation split.

    Args:
        folder: Not used.

    Returns:
        The data set.
    """
    rows = _read()
    pixels = np.rint(rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # the original range is 0 to 16
    images = Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(rows[:, 64].astype(np.int64)))
    rest, test = stratified_holdout(images.labels, len(images) // 5, seed=0)
    train, valid = stratified_holdout(images.labels[rest], len(images) // 10, seed=0)
    return ImageData(
        train=images[rest[train]],
        valid=images[rest[valid]],
        test=images[test],
        label_names=tuple(str(digit) for digit in range(10)),
        mean=(0.0,),
        std=(1.0,),
    )


def _read() -> NDArray[np.float64]:
    """Return the 64 pixels and the label of each image, ``(1797, 65)``.

    The file is read without importing scikit-learn, which takes as long as importing torch.

    Raises:
        ModuleNotFoundError: If scikit-learn is not installed.
    """
    found = find_spec("sklearn")
    folder = Path((found.submodule_search_locations or [""])[0]) if found else Path()
    file = folder / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits as read  # a version that keeps the file elsewhere

    digits = read()
    return np.column_stack([digits.data, digits.target])
