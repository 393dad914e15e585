"""The data sets and methods of the comparison, the votes of people, and the runs."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from labelemb.metrics.human import read_groups, read_similarity
from labelemb.presets import read_preset
from labelemb.runs import RunFolder
from labelemb.tasks.classification.splits import limit_per_label
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import DataOptions, load
from labelemb.tasks.vision.images import ImageData, Images, channel_statistics
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.runner import train_run

WATCHED = 500
HELD_OUT = 5000  # images for the temperature
METHODS: dict[str, dict[str, Any]] = {
    "cross_entropy": {"method": "cross_entropy"},
    "ols": {"method": "ols"},
    "label_embedding": {"method": "label_embedding"},
    "recommended": {
        "method": "label_embedding",
        "soft_temperature": 2.0,
        "soft_scale": 4.0,
        "embedding_update": "running_mean",
        "terms": "hard,soft,aux",
        "soft_decay": 1.0,
    },
}


@dataclass(frozen=True)
class PeopleSet:
    """A data set, how a net is trained on it, and the votes.

    Attributes:
        dataset: Name of the data set, and of its directory.
        preset: Preset of the recipe.
        votes: File of votes.
        side: Side of the images in pixels.
        images_per_label: Training images per label; None: all.
        epochs: Number of epochs; None: those of the preset.
        validate: Whether training images are held out before the limit; False: some of those that the limit leaves out.
    """

    dataset: str
    preset: str
    votes: str
    side: int = 32
    images_per_label: int | None = None
    epochs: int | None = None
    validate: bool = True


SETS = {
    "cifar10-16": PeopleSet("cifar10", "cifar10-small", "cifar10h.npz", 16, 1000, 8),
    "cifar100-16": PeopleSet("cifar100", "cifar100-small", "cifar100n_confusion.npz", 16, 200, 8),
    "cifar100-100": PeopleSet("cifar100", "cifar100-small", "cifar100n_confusion.npz", 32, 100, 40, validate=False),
    "cifar10": PeopleSet("cifar10", "cifar10-small", "cifar10h.npz"),
    "cifar100": PeopleSet("cifar100", "cifar100-small", "cifar100n_confusion.npz"),
}


@dataclass(frozen=True)
class People:
    """What people say.

    Attributes:
        shares: ``(V, V)``, share of votes for k on images of y.
        groups: V superclasses; None for CIFAR-10.
        per_image: ``(N, V)``, shares of the votes on each test image; None where only sums are known.
    """

    shares: NDArray[np.float64]
    groups: list[str] | None
    per_image: NDArray[np.float64] | None


@lru_cache(maxsize=1)
def images_of(chosen: PeopleSet, folder: Path) -> ImageData:
    """Return the images, 2x2 means where the side is 16."""
    whole = load(chosen.dataset, folder / chosen.dataset, DataOptions(validate=chosen.validate))
    data = whole.limited(chosen.images_per_label)
    if not chosen.validate:
        assert chosen.images_per_label is not None
        data = replace(data, valid=_left_out(whole, chosen.images_per_label))
    if chosen.side == data.image_shape[1]:
        return data
    assert data.valid is not None
    train, valid, test = (_shrunk(split, chosen.side) for split in (data.train, data.valid, data.test))
    mean, std = channel_statistics(train)
    note = f"{data.note}, {chosen.side} pixels"
    return replace(data, train=train, valid=valid, test=test, mean=mean, std=std, note=note)


def people_of(chosen: PeopleSet, folder: Path, names: tuple[str, ...]) -> People:
    """Read the votes; those on single images in the order of the test images."""
    file = folder / "human" / chosen.votes
    shares = read_similarity(file).select(names)
    if chosen.dataset == "cifar100":
        return People(shares, read_groups(file, names), None)
    votes = np.load(file)
    row = {(int(y), int(n)): k for k, (y, n) in enumerate(zip(votes["labels"], votes["index_in_class"], strict=True))}
    table = parquet.read_table(folder / chosen.dataset / "test.parquet")
    paths = [Path(image["path"]) for image in table["img"].to_pylist()]
    classes = [str(name) for name in votes["classes"]]
    order = [row[classes.index(path.parent.name), int(path.stem)] for path in paths]
    counts = votes["counts"][order][:, [classes.index(name) for name in names]].astype(np.float64)
    return People(shares, None, counts / counts.sum(axis=1, keepdims=True))


def trained(chosen: PeopleSet, method: str, seed: int, data: ImageData, run: RunFolder) -> None:
    """Train a net, or continue where a killed process stopped; a finished run stays as it is.

    During training only ``WATCHED`` images of each held-out split are evaluated; ``measure`` evaluates all afterwards.
    """
    values = {**read_preset(chosen.preset).values, **METHODS[method], "seed": seed, "validate": chosen.validate}
    values["images_per_label"] = chosen.images_per_label
    values["epochs"] = chosen.epochs or values["epochs"]
    config = VisionConfig(**values).resolved()
    if not run.finished:
        assert data.valid is not None
        watched = replace(data, valid=data.valid[:WATCHED], test=data.test[:WATCHED])
        train_run(VisionTask(config, watched), config, run, watched.digest, {"note": data.note})


def vote_counts(file: Path) -> NDArray[np.int64]:
    """Return ``counts[true, voted]`` of a file of votes, for the agreement of people with people."""
    votes = np.load(file)
    if "labels" not in votes:
        return np.asarray(votes["counts"], np.int64)
    sums = np.zeros((len(votes["classes"]),) * 2, np.int64)
    np.add.at(sums, votes["labels"], votes["counts"])
    return sums


def _left_out(data: ImageData, images_per_label: int) -> Images:
    """Return evenly spaced training images that the limit leaves out."""
    left = torch.ones(len(data.train), dtype=torch.bool)
    left[limit_per_label(data.train.labels, len(data.label_names), images_per_label)] = False
    rows = left.nonzero()[:, 0]
    return data.train[rows[:: len(rows) // HELD_OUT]]


def _shrunk(images: Images, side: int) -> Images:
    factor = images.pixels.shape[-1] // side
    parts = [F.avg_pool2d(part.float(), factor).round().to(torch.uint8) for part in torch.split(images.decoded(), 5000)]
    return Images(torch.cat(parts), images.labels)
