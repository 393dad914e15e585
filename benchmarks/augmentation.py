"""Random crops and flips: whole batches in one gather against a DataLoader that transforms image by image.

    python -m benchmarks.augmentation

Target: at least 10 times the images per second on a CPU, 50 times on a GPU. Each program produces normalized float32
batches of 128 on the device, which are then freed. During the pause between two programs the workers of the loader
prefetch four of forty batches, which favors the loader by a tenth.
"""

import argparse
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import time_interleaved
from benchmarks.tables import Comparison, show, write
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageData, Images
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.task import Shard

RESULTS = Path(__file__).parent / "results" / "augmentation.csv"
BATCH, BATCHES = 128, 40
MEAN, STD = (0.4914, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=10, help="measured rounds")
    parser.add_argument("--threads", type=int, default=2, help="torch threads; the loader has 2 worker processes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (50_000, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images = Images(pixels, torch.randint(10, (len(pixels),), generator=generator))
    programs = {
        "one gather per batch": whole_batches(images, device),
        "DataLoader, 2 workers, Pillow": loader(PillowImages(images), device),
        "DataLoader, 2 workers, tensors": loader(TensorImages(images), device),
    }
    timings = time_interleaved(programs, args.rounds, warmup=2, rest=0.1)
    library, *others = timings.values()
    target = 50 if device.type == "cuda" else 10
    ratios = {
        f"times as fast as {name} (target >= {target})": timing.over(library)
        for name, timing in zip(list(timings)[1:], others, strict=True)
    }
    count = BATCH * BATCHES
    table = Comparison(f"{count} images of 32x32", timings, "images", count, ratios)
    show(table, note=f"{args.rounds} interleaved rounds")
    write(RESULTS, table)


def whole_batches(images: Images, device: torch.device) -> Callable[[], object]:
    """Return a function that produces the next ``BATCHES`` batches of the training recipe."""
    data = ImageData(images, None, images[:1], tuple("0123456789"), MEAN, STD)
    task = VisionTask(VisionConfig(model="mlp", width=8, batch_size=BATCH, augment="crop-flip"), data)
    task.setup(device)
    batches = itertools.chain.from_iterable(task.batches(epoch, 0, Shard()) for epoch in itertools.count())
    return lambda: take(batches)


def loader(dataset: Dataset[tuple[Tensor, int]], device: torch.device) -> Callable[[], object]:
    """Return a function that produces the next ``BATCHES`` batches of a DataLoader."""
    loaded = DataLoader(
        dataset, BATCH, shuffle=True, num_workers=2, persistent_workers=True, pin_memory=device.type == "cuda"
    )

    def endless() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for pixels, labels in loaded:
                yield pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    batches = endless()
    return lambda: take(batches)


def take(batches: Iterator[object]) -> None:
    """Consume the next ``BATCHES`` batches."""
    for _ in range(BATCHES):
        next(batches)


class PillowImages(Dataset[tuple[Tensor, int]]):
    """The usual transforms on Pillow images: pad 4, random crop, random flip, to tensor, normalize."""

    def __init__(self, images: Images) -> None:
        self.pixels: NDArray[np.uint8] = images.decoded().permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.pixels[row]), 4)
        top, left = (int(torch.randint(9, (1,))) for _ in range(2))
        image = image.crop((left, top, left + 32, top + 32))
        if torch.rand(1) < 0.5:
            image = ImageOps.mirror(image)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        return tensor.sub_(mean).div_(std), self.labels[row]


class TensorImages(Dataset[tuple[Tensor, int]]):
    """The fastest per-image version found: on tensors, with Python's random numbers."""

    def __init__(self, images: Images) -> None:
        self.pixels, self.labels = images.decoded(), images.labels.tolist()
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        padded = torch.nn.functional.pad(self.pixels[row], (4, 4, 4, 4))
        left, top = random.randrange(9), random.randrange(9)
        image = padded[:, top : top + 32, left : left + 32]
        if random.random() < 0.5:
            image = image.flip(-1)
        return image.float().div(255).sub(self.mean).div(self.std), self.labels[row]


if __name__ == "__main__":
    main()
