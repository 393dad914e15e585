"""The data sets by name. Each module reads one; ``load`` finds it."""

from collections.abc import Callable
from pathlib import Path

from labelemb.errors import ConfigError
from labelemb.vision.datasets.digits import load_digits
from labelemb.vision.datasets.mnist import load_mnist
from labelemb.vision.images import ImageData

DATASETS: dict[str, Callable[[Path | None], ImageData]] = {"digits": load_digits, "mnist": load_mnist}


def load(name: str, folder: Path | None) -> ImageData:
    """Read a data set. ``folder``: where its files are, or None to download what can be.

    Raises ConfigError for an unknown name, DataError for files that are missing or damaged.
    """
    if name not in DATASETS:
        raise ConfigError("dataset", " or ".join(DATASETS), repr(name))
    return DATASETS[name](folder)
