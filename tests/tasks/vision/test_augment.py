"""The gather against a slow reference, image by image, and the distribution that it draws from."""

import random

import torch

from labelemb.tasks.vision.augment import PAD, CropFlip
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import load
from labelemb.tasks.vision.images import Images
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.task import Shard


def slow(image: torch.Tensor, top: int, left: int, mirrored: bool) -> torch.Tensor:
    """Pad with zeros, crop, mirror: written the other way round, pixel by pixel."""
    channels, height, width = image.shape
    out = torch.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + top - PAD, x + left - PAD
                if 0 <= from_y < height and 0 <= from_x < width:
                    out[c, y, width - 1 - x if mirrored else x] = image[c, from_y, from_x]
    return out


def test_augmentation_equals_the_reference() -> None:
    pixels = torch.randint(1, 256, (9 * 9 * 2, 3, 6, 5), dtype=torch.uint8)
    choices = [(top, left, mirrored) for top in range(9) for left in range(9) for mirrored in (False, True)]
    top, left, mirrored = (torch.tensor(column) for column in zip(*choices, strict=True))
    got = CropFlip(top, left, mirrored)(pixels)
    assert got.dtype == torch.uint8
    turned = CropFlip(top, left, mirrored)(pixels, channels_last=True)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(got, turned)
    as_stored = CropFlip(top, left, mirrored)(pixels.contiguous(memory_format=torch.channels_last), channels_last=True)
    assert torch.equal(got, as_stored)
    for image, choice, result in zip(pixels, choices, got, strict=True):
        assert torch.equal(result, slow(image, *choice)), choice


def test_rows_keep_the_memory_layout() -> None:
    pixels, rows = torch.randint(256, (7, 3, 4, 5), dtype=torch.uint8), torch.tensor([5, 0, 5])
    for layout in (torch.contiguous_format, torch.channels_last):
        images = Images(pixels, torch.arange(7)).to(torch.device("cpu"), layout)
        found = images.select(rows)
        assert found.is_contiguous(memory_format=layout)
        assert torch.equal(found, pixels[rows])


def test_all_162_augmentations_are_equally_likely() -> None:
    """Same distribution as torchvision-like transforms: the counts of both pass one chi-square bound."""
    count = 162 * 200
    image = torch.arange(1, 1 + 8 * 8, dtype=torch.uint8).view(1, 8, 8)
    drawn = CropFlip.draw(count, seed=0, epoch=0)(image.expand(count, 1, 8, 8)).flatten(1)
    dice = random.Random(0)
    results = [slow(image, top, left, m).flatten() for top in range(9) for left in range(9) for m in (False, True)]
    number_of = {tuple(result.tolist()): number for number, result in enumerate(results)}
    assert len(number_of) > 160, "all but the empty corners differ"
    expected = torch.zeros(len(number_of))
    for result in results:
        expected[list(number_of).index(tuple(result.tolist()))] += count / 162
    names = {result: place for place, result in enumerate(number_of)}
    fast = torch.bincount(torch.tensor([names[tuple(row)] for row in drawn.tolist()]), minlength=len(names))
    reference = torch.zeros(len(names))
    for _ in range(count):
        row = results[2 * (9 * dice.randrange(9) + dice.randrange(9)) + (dice.random() < 0.5)]
        reference[names[tuple(row.tolist())]] += 1
    for counts in (fast.float(), reference):
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        assert chi_square < 161 + 5 * (2 * 161) ** 0.5


def test_epochs_differ_and_resuming_is_exact() -> None:
    task = VisionTask(VisionConfig(batch_size=100, augment="crop-flip"), load("digits", None))
    task.setup(torch.device("cpu"))
    whole = [pieces[0].images for pieces in task.batches(3, 0, Shard())]
    rest = [pieces[0].images for pieces in task.batches(3, 5, Shard())]
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], rest, strict=True))
    halves = [next(iter(task.batches(3, 0, Shard(index, 2))))[0].images for index in range(2)]
    assert torch.equal(whole[0][0::2], halves[0]), "an image's crop is the same in whichever process it is"
    assert torch.equal(whole[0][1::2], halves[1])
    one, other = CropFlip.draw(1000, 0, 0), CropFlip.draw(1000, 0, 1)
    assert not torch.equal(one.top, other.top)
    assert not torch.equal(one.top, one.left)


def test_only_training_images_are_augmented() -> None:
    plain, augmented = (VisionTask(VisionConfig(augment=a), load("digits", None)) for a in ("none", "crop-flip"))
    for task in (plain, augmented):
        task.setup(torch.device("cpu"))
        task.model.eval()
    figures = [dict(task.evaluate(task.model, Shard(), lambda counts: counts)) for task in (plain, augmented)]
    assert figures[0] == figures[1]
