"""Registry of image data sets; ``load`` reads one by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelemb.errors import ConfigError
from labelemb.tasks.vision.datasets.cifar import CIFAR10, CIFAR100, load_cifar
from labelemb.tasks.vision.datasets.cifar_archives import Level
from labelemb.tasks.vision.datasets.custom import load_hub, load_imagefolder
from labelemb.tasks.vision.datasets.digits import load_digits
from labelemb.tasks.vision.datasets.mnist import load_mnist
from labelemb.tasks.vision.images import ImageData


@dataclass(frozen=True)
class DataOptions:
    """Options for loading a data set.

    Attributes:
        label_level: Label granularity of CIFAR-100, ``fine`` or ``coarse``.
        image_size: Side length that custom images are cropped and resized to. Default: 32.
        validate: Whether to hold out training images for validation. Default: the data set's own choice for named
            data sets, True for custom images.
        images_per_label: Maximum number of training images per label, applied after the validation split.
            Default: no limit.
        skip_damaged: Whether custom images that cannot be read are left out and named; otherwise they are an error.
    """

    label_level: Level = "fine"
    image_size: int | None = None
    validate: bool | None = None
    images_per_label: int | None = None
    skip_damaged: bool = False


_Load = Callable[[Path | None, DataOptions], ImageData]
DATASETS: dict[str, _Load] = {
    "digits": lambda folder, options: load_digits(folder),
    "mnist": lambda folder, options: load_mnist(folder),
    "cifar10": lambda folder, options: load_cifar(CIFAR10, folder, options.label_level),
    "cifar100": lambda folder, options: load_cifar(CIFAR100, folder, options.label_level),
}
CUSTOM_DATASETS: dict[str, Callable[[str, DataOptions], ImageData]] = {
    "imagefolder": lambda path, options: load_imagefolder(
        Path(path).expanduser(), options.image_size, options.skip_damaged
    ),
    "hub": lambda name, options: load_hub(name, options.image_size, options.label_level, options.skip_damaged),
}
NAMES = f"{', '.join(DATASETS)}, imagefolder:PATH or hub:ID"


def is_known(name: str) -> bool:
    """Return whether ``load`` supports a data set name."""
    kind, _, rest = name.partition(":")
    return name in DATASETS or (kind in CUSTOM_DATASETS and bool(rest))


def load(name: str, folder: Path | None, options: DataOptions | None = None) -> ImageData:
    """Load a data set by name.

    Args:
        name: A key of ``DATASETS``, or ``imagefolder:PATH`` or ``hub:ID`` for custom images.
        folder: Folder with the files of a named data set. Default: download them where supported.
        options: Loading options.

    Returns:
        The data set with its training, validation and test splits.

    Raises:
        ConfigError: If the name is unknown or the options do not fit the data set.
        DataError: If files are missing or damaged.
    """
    options = options or DataOptions()
    if not is_known(name):
        raise ConfigError("dataset", NAMES, repr(name) if name else "none")
    if options.label_level == "coarse" and name != "cifar100" and not name.startswith("hub:"):
        raise ConfigError("label_level", f"fine for {name}, which has a single label level", "coarse")
    if options.image_size is not None and name in DATASETS:
        raise ConfigError("image_size", f"null for {name}, whose image size is fixed", options.image_size)
    kind, _, rest = name.partition(":")
    if name in DATASETS:
        return DATASETS[name](folder, options).validated(options.validate).limited(options.images_per_label)
    # Custom data has no published training schedule, so a validation split is held out by default.
    return (
        CUSTOM_DATASETS[kind](rest, options).validated(options.validate is not False).limited(options.images_per_label)
    )
