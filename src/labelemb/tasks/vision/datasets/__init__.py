"""The data sets by name. Each module reads one kind; ``load`` finds it."""

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
    """What can be chosen about a data set.

    label_level       which labels of CIFAR-100: fine or coarse
    image_size        side that own images are cut and resized to; None: 32
    validate          whether training images are held out to choose by; None: as published, and for own images true
    images_per_label  most training images of each label, when others have been held out; None: all
    """

    label_level: Level = "fine"
    image_size: int | None = None
    validate: bool | None = None
    images_per_label: int | None = None


_Load = Callable[[Path | None, DataOptions], ImageData]
DATASETS: dict[str, _Load] = {
    "digits": lambda folder, options: load_digits(folder),
    "mnist": lambda folder, options: load_mnist(folder),
    "cifar10": lambda folder, options: load_cifar(CIFAR10, folder, options.label_level),
    "cifar100": lambda folder, options: load_cifar(CIFAR100, folder, options.label_level),
}
OWN: dict[str, Callable[[str, DataOptions], ImageData]] = {
    "imagefolder": lambda path, options: load_imagefolder(Path(path).expanduser(), options.image_size),
    "hub": lambda name, options: load_hub(name, options.image_size, options.label_level),
}
NAMES = f"{', '.join(DATASETS)}, imagefolder:PATH or hub:ID"


def is_known(name: str) -> bool:
    """Say whether ``load`` has a reader for that name."""
    kind, _, rest = name.partition(":")
    return name in DATASETS or (kind in OWN and bool(rest))


def load(name: str, folder: Path | None, options: DataOptions | None = None) -> ImageData:
    """Read a data set.

    name    one of ``DATASETS``; imagefolder:PATH or hub:ID for images of one's own
    folder  where the files of a named data set are, or None to download what can be

    Raises ConfigError for an unknown name and options that do not fit, DataError for files that are missing or damaged.
    """
    options = options or DataOptions()
    if not is_known(name):
        raise ConfigError("dataset", NAMES, repr(name))
    if options.label_level == "coarse" and name != "cifar100" and not name.startswith("hub:"):
        raise ConfigError("label_level", f"fine for {name}: it has one kind of labels", "coarse")
    if options.image_size is not None and name in DATASETS:
        raise ConfigError("image_size", f"null for {name}: its images have their size", options.image_size)
    kind, _, rest = name.partition(":")
    if name in DATASETS:
        return DATASETS[name](folder, options).validated(options.validate).limited(options.images_per_label)
    # Nobody has published how long to train on them, so images to choose by are held out unless it is said otherwise.
    return OWN[kind](rest, options).validated(options.validate is not False).limited(options.images_per_label)
