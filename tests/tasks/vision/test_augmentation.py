"""Augmentation of batches against Pillow, image by image; nothing depends on batches or processes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from labelemb.tasks.vision import photometric, trivial_augment
from labelemb.tasks.vision.augmentation import Augmentation
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageBatch
from labelemb.tasks.vision.recipe import load_data
from labelemb.tasks.vision.resized_crop import Erasing, Rectangles, ResizedCropFlip
from labelemb.tasks.vision.task import VisionTask
from labelemb.tasks.vision.trivial_augment import OPERATIONS, STRENGTHS, TrivialAugment
from labelemb.training.task import Shard

HEIGHT, WIDTH = 23, 31


def images(count: int, channels: int) -> torch.Tensor:
    """Smooth images with noise; the first is constant, the second uses few levels."""
    draw = torch.Generator().manual_seed(0)
    ramp = torch.arange(HEIGHT)[:, None] * 3 + torch.arange(WIDTH) * 2
    noise = torch.randint(120, (count, channels, HEIGHT, WIDTH), generator=draw)
    found = (ramp + noise).to(torch.uint8)
    found[0] = 77
    found[1] = 100 + found[1] % 3
    return found


def pillow(pixels: torch.Tensor) -> Image.Image:
    return Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())


def tensor(image: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)


PHOTOMETRIC: dict[str, tuple[list[float], Callable[[Image.Image, float], Image.Image]]] = {
    "brightness": ([0.0, 0.4, 1.0, 1.7], lambda image, factor: ImageEnhance.Brightness(image).enhance(factor)),
    "color": ([0.0, 0.4, 1.0, 1.7], lambda image, factor: ImageEnhance.Color(image).enhance(factor)),
    "contrast": ([0.0, 0.4, 1.0, 1.7], lambda image, factor: ImageEnhance.Contrast(image).enhance(factor)),
    "sharpness": ([0.0, 0.4, 1.0, 1.7], lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor)),
    "posterize": ([2, 5, 8, 3], lambda image, bits: ImageOps.posterize(image, int(bits))),
    "solarize": ([0, 90, 128, 255], lambda image, threshold: ImageOps.solarize(image, int(threshold))),
    "autocontrast": ([0] * 4, lambda image, _: ImageOps.autocontrast(image)),
    "equalize": ([0] * 4, lambda image, _: ImageOps.equalize(image)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_photometric_operations_give_what_pillow_gives(name: str, channels: int) -> None:
    strengths, reference = PHOTOMETRIC[name]
    pixels = images(len(strengths), channels)
    found = getattr(photometric, name)(pixels, torch.tensor(strengths, dtype=torch.float32))
    assert found.dtype == torch.uint8
    for image, strength, got in zip(pixels, strengths, found, strict=True):
        differs = (got.int() - tensor(reference(pillow(image), strength)).int()).abs()
        # Pillow rounds differently where a product is close to a whole number.
        assert int(differs.max()) <= 1
        assert float((differs > 0).float().mean()) < 0.01


def test_geometric_operations_give_what_pillow_gives() -> None:
    pixels = images(4, 3)
    amounts = torch.tensor([0.0, 0.37, -0.8, 0.99])
    degrees, moves = torch.tensor([0.0, 33.0, -120.0, 90.0]), torch.tensor([0.0, 3.4, -7.0, 32.0])
    data: dict[str, tuple[torch.Tensor, Callable[[float], tuple[float, ...]]]] = {
        "shear_x": (amounts, lambda v: (1, v, 0, 0, 1, 0)),
        "shear_y": (amounts, lambda v: (1, 0, 0, v, 1, 0)),
        "translate_x": (moves, lambda v: (1, 0, int(v), 0, 1, 0)),
        "translate_y": (moves, lambda v: (1, 0, 0, 0, 1, int(v))),
    }
    cases = {
        name: (values, lambda image, v, matrix=matrix: image.transform(image.size, Image.Transform.AFFINE, matrix(v)))
        for name, (values, matrix) in data.items()
    }
    cases["rotate"] = (degrees, lambda image, v: image.rotate(v))
    for name, (values, reference) in cases.items():
        found = getattr(trivial_augment, name)(pixels, values)
        for image, value, got in zip(pixels, values.tolist(), found, strict=True):
            differs = (got != tensor(reference(pillow(image), value))).float().mean()
            assert float(differs) < 0.02, (name, value)  # Pillow computes positions in 16 bits


def test_resized_crops_give_what_pillow_gives() -> None:
    pixels = images(6, 3)
    crops = Rectangles(
        *torch.tensor([[0, 2, 5, 0, 9, 1], [0, 4, 1, 8, 3, 0], [23, 9, 18, 3, 1, 22], [31, 7, 12, 23, 2, 5]])
    )
    mirrored = torch.tensor([False, True] * 3)
    found = ResizedCropFlip(crops, mirrored)(pixels)
    turned = ResizedCropFlip(crops, mirrored)(pixels, channels_last=True)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, turned)
    assert torch.equal(found[0], pixels[0]), "the whole image"
    for number, (image, got) in enumerate(zip(pixels, found, strict=True)):
        top, left, high, wide = (int(values[number]) for values in vars(crops).values())
        want = pillow(image).crop((left, top, left + wide, top + high))
        want = want.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        want = ImageOps.mirror(want) if mirrored[number] else want
        assert int((got.int() - tensor(want).int()).abs().max()) <= 1


def test_rectangles_have_the_drawn_areas_and_ratios() -> None:
    boxes, found = Rectangles.draw(4000, (40, 40), (0.1, 0.5), 2.0, torch.Generator().manual_seed(0))
    assert found.float().mean() > 0.99
    assert int(boxes.top.min()) == int(boxes.left.min()) == 0
    assert int((boxes.top + boxes.height).max()) == int((boxes.left + boxes.width).max()) == 40
    area, ratio = (boxes.height * boxes.width / 1600)[found], (boxes.width / boxes.height)[found]
    assert float(area.mean()) == pytest.approx(0.3, abs=0.01)
    assert float(ratio.log().mean()) == pytest.approx(0.0, abs=0.02)
    assert float(area.min()) > 0.08
    assert float(area.max()) < 0.53


def test_erasing_sets_a_rectangle_to_the_mean() -> None:
    erasing = Erasing.draw(300, (16, 16), 0.5, seed=0, epoch=0)
    ones = torch.ones(300, 2, 16, 16)
    erased = (erasing(ones) == 0).all(1)
    assert torch.equal(erased.sum((1, 2)), torch.where(erasing.chosen, erasing.boxes.height * erasing.boxes.width, 0))
    assert float(erasing.chosen.float().mean()) == pytest.approx(0.5, abs=0.1)
    assert torch.equal(erased, erased.any(2)[:, :, None] & erased.any(1)[:, None, :]), "rectangles"


def test_trivial_augment_uses_every_operation_and_strength_equally_often() -> None:
    drawn = TrivialAugment.draw(len(OPERATIONS) * 500, seed=0, epoch=0)
    counts = drawn.operation.bincount(minlength=len(OPERATIONS))
    assert counts.min() > 400
    assert counts.max() < 600
    rotations = drawn.magnitude[drawn.operation == 5]
    assert len(rotations.unique()) == 2 * STRENGTHS - 1
    assert float(rotations.abs().max()) == 135
    whole = drawn(torch.zeros(len(drawn.operation), 1, 4, 4, dtype=torch.uint8))
    assert whole.shape == (len(drawn.operation), 1, 4, 4)


def test_an_image_is_augmented_alike_in_pieces_processes_and_after_a_resume() -> None:
    everything = {"augment": "resized-crop-flip", "auto_augment": "trivial", "random_erasing": 0.5, "mixup": 0.4}
    config = VisionConfig(method="cross_entropy", batch_size=100, width=8, **everything)  # type: ignore[arg-type]

    def pieces(shard: Shard, start: int = 0) -> list[ImageBatch]:
        task = VisionTask(config, load_data("digits", None))
        task.setup(torch.device("cpu"))
        return [piece for micro in task.batches(2, start, shard) for piece in micro]

    whole = {int(n): batch.images[row] for batch in pieces(Shard()) for row, n in enumerate(batch.index)}
    for part in [*pieces(Shard(1, 2, 3)), *pieces(Shard(), start=9)]:
        for row, number in enumerate(part.index.tolist()):
            torch.testing.assert_close(part.images[row], whole[number], rtol=0, atol=1e-5)
    task = VisionTask(replace(config, sampling="balanced", mixup=0.0), load_data("digits", None))
    task.setup(torch.device("cpu"))
    batches = [pieces[0] for pieces in task.batches(0, 0, Shard())]
    index, found = torch.cat([batch.index for batch in batches]), torch.cat([batch.images for batch in batches])
    repeated = int(index.bincount().argmax())
    copies = found[index == repeated]
    assert len(copies) > 1
    assert not torch.equal(copies[0], copies[1]), "an image that occurs twice is augmented twice"
    one, other = (Augmentation.draw(config.augment_options, 50, (8, 8), 0, epoch) for epoch in (0, 1))
    assert not torch.equal(one.trivial.operation, other.trivial.operation)
    plain = replace(config, augment="none", auto_augment="none", random_erasing=0.0).augment_options
    assert Augmentation.draw(plain, 50, (8, 8), 0, 0) == Augmentation()
