"""Mixup and CutMix: pixels and targets agree, nothing depends on pieces or processes, and who cannot refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelemb.cli.main import main
from labelemb.methods import METHODS
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageBatch
from labelemb.tasks.vision.mixing import Mixing
from labelemb.tasks.vision.recipe import load_data
from labelemb.tasks.vision.task import VisionTask
from labelemb.terms.output import MixedTargets
from labelemb.training.task import Shard

CONFIG = VisionConfig(method="cross_entropy", batch_size=100, width=8, device="cpu")
SMALL = ["train", "digits", "--epochs", "2", "--width", "16", "--batch_size", "200", "--device", "cpu", "--out"]


def draws(mixup: float, cutmix: float, count: int = 200) -> list[Mixing]:
    return [Mixing.draw(10, (8, 6), (mixup, cutmix), seed=0, place=(0, number)) for number in range(count)]


def pieces_of(config: VisionConfig, shard: Shard, start: int = 0) -> list[ImageBatch]:
    task = VisionTask(config, load_data("digits", None))
    task.setup(torch.device("cpu"))
    return [piece for pieces in task.batches(2, start, shard) for piece in pieces]


def test_mixup_is_a_weighted_mean() -> None:
    images = torch.rand(10, 1, 8, 6)
    for mixing in draws(1.0, 0.0, 20):
        assert mixing.box is None
        assert sorted(mixing.partners.tolist()) == list(range(10))
        others = images[mixing.partners]
        want = mixing.weight * images + (1 - mixing.weight) * others
        torch.testing.assert_close(mixing(images, others), want)


def test_cutmix_weights_are_the_fraction_of_remaining_pixels() -> None:
    images, others = torch.zeros(3, 2, 8, 6), torch.ones(3, 2, 8, 6)
    for mixing in draws(0.0, 1.0):
        mixed = mixing(images, others)
        assert float(mixed.mean()) == pytest.approx(1 - mixing.weight)
        assert torch.equal(mixed[0, 0], mixed[2, 1])
        rows, columns = mixed[0, 0].any(1), mixed[0, 0].any(0)
        assert torch.equal(mixed[0, 0], torch.outer(rows.float(), columns.float())), "a box"
    assert not images.any(), "the images themselves are left alone"


def test_mixing_weights_follow_the_beta_distribution() -> None:
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2a + 1))."""
    for strength in (0.2, 1.0):
        weights = np.array([mixing.weight for mixing in draws(strength, 0.0, 2000)])
        assert weights.mean() == pytest.approx(0.5, abs=0.03)
        assert weights.var() == pytest.approx(1 / (4 * (2 * strength + 1)), rel=0.1)
    both = [mixing.box is None for mixing in draws(1.0, 1.0, 400)]
    assert np.mean(both) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("strengths", [{"mixup": 0.4}, {"cutmix": 1.0}], ids=str)
def test_mixing_is_the_same_in_shards_and_after_resuming(strengths: dict[str, float]) -> None:
    config = replace(CONFIG, augment="crop-flip", **strengths)
    whole = {int(n): (batch, row) for batch in pieces_of(config, Shard()) for row, n in enumerate(batch.index)}
    assert len(whole) == 1259
    parts = [piece for process in range(2) for piece in pieces_of(config, Shard(process, 2, 3))]
    parts += pieces_of(config, Shard(), start=9)
    for part in parts:
        assert isinstance(part.targets, MixedTargets)
        for row, number in enumerate(part.index.tolist()):
            batch, place = whole[number]
            assert torch.equal(part.images[row], batch.images[place])
            for name in ("first", "second", "weight"):
                assert getattr(part.targets, name)[row] == getattr(batch.targets, name)[place]


def test_images_and_targets_are_mixed_with_the_same_partner() -> None:
    plain = {int(n): batch.images[row] for batch in pieces_of(CONFIG, Shard()) for row, n in enumerate(batch.index)}
    numbers, images = list(plain), torch.stack(list(plain.values()))
    data = load_data("digits", None)
    for batch in pieces_of(replace(CONFIG, mixup=1.0), Shard())[:3]:
        assert torch.equal(batch.labels, data.train.labels[batch.index])
        weight = float(batch.targets.weight[0])
        for row, number in enumerate(batch.index.tolist()):
            other = (batch.images[row] - weight * plain[number]) / (1 - weight)
            found = numbers[int((images - other).abs().flatten(1).amax(1).argmin())]
            assert data.train.labels[found] == batch.targets.second[row]


@pytest.mark.parametrize("option", ["mixup", "cutmix"])
def test_training_with_mixed_targets(option: str, tmp_path: Path) -> None:
    assert (
        main(
            [
                *SMALL,
                str(tmp_path),
                "--method",
                "cross_entropy,label_embedding",
                f"--{option}",
                "0.5",
                "--gradient_accumulation_steps",
                "2",
            ]
        )
        == 0
    )
    for method in ("cross_entropy", "label_embedding"):
        run = RunFolder.of(tmp_path, "digits", method, 0)
        assert run.finished
        assert run.config()[option] == 0.5
        first, last = run.history()
        assert sum(last["terms"].values()) < sum(first["terms"].values())


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.mixed_targets != "always"])
def test_methods_without_mixed_targets_are_refused(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, str(tmp_path / "out"), "--method", f"cross_entropy,{method}", "--cutmix", "1"]) == 2
    said = capsys.readouterr().err
    assert "cutmix: expected 0, or a method that takes mixed targets, with impl eager or auto (cross_ent" in said
    assert f"got 1.0 for method {method}" in said
    assert not (tmp_path / "out").exists()


def test_invalid_mixing_parameters_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, str(tmp_path), "--method", "cross_entropy", "--mixup", "-1"]) == 2
    assert "mixup: expected a number >= 0, got -1.0" in capsys.readouterr().err
