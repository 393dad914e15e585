"""The digits of scikit-learn: 1,797 images of 8x8 pixels, included in the package."""

from pathlib import Path

import numpy as np
import torch

from labelemb.tasks.classification.splits import stratified_holdout
from labelemb.tasks.vision.images import ImageData, Images


def load_digits(folder: Path | None = None) -> ImageData:
    """Load the digits; a fixed stratified 20 % are the test split and 10 % the validation split.

    Args:
        folder: Not used.

    Returns:
        The data set.
    """
    from sklearn.datasets import load_digits as read  # scikit-learn is slow to import

    digits = read()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # the original range is 0 to 16
    images = Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(digits.target.astype(np.int64)))
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
