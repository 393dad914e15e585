"""Damaged images are named and skipped on request; images that do not fit into memory give the same bits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.tasks.vision import recipe
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import DataOptions, custom, load
from labelemb.tasks.vision.trained import TrainedModel

from .test_datasets import write_folders


def test_damaged_images_are_named_counted_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path / "pets", {"": 12})
    name, options = f"imagefolder:{tmp_path / 'pets'}", DataOptions(skip_damaged=True)
    (tmp_path / "pets" / "cat" / "0.png").write_bytes(b"rubbish")  # the very first
    whole = (tmp_path / "pets" / "dog" / "5.png").read_bytes()
    (tmp_path / "pets" / "dog" / "5.png").write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"cat/0.png. --skip_damaged true leaves such images out"):
        load(name, None)
    found = []
    for memory in (2**40, 10_000, 10_000):  # in memory, lazily, and lazily from the cache
        monkeypatch.setattr(custom, "total_memory", lambda memory=memory: memory)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(memory)))
        data = load(name, None, options)
        assert isinstance(data.train.pixels, torch.Tensor) == (memory > 10_000)
        said = capsys.readouterr().err
        assert "2 damaged images skipped:" in said
        assert "cat/0.png" in said
        assert "dog/5.png" in said
        assert ("images are decoded each time they are used" in said) == (memory == 10_000)
        assert data.note == "2 damaged images skipped"
        found.append(data)
    first = found[0]
    for data in found[1:]:
        assert (data.digest, data.mean, data.std) == (first.digest, first.mean, first.std)
        for one, other in ((data.train, first.train), (data.valid, first.valid), (data.test, first.test)):
            assert torch.equal(one.decoded(), other.pixels)
            assert torch.equal(one.labels, other.labels)


def test_a_label_without_images(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", {"": 12})
    (tmp_path / "pets" / "emu").mkdir()
    with pytest.raises(DataError, match=r"pets/emu: expected one training image or more of each label, got none"):
        load(f"imagefolder:{tmp_path / 'pets'}", None)


def test_training_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(tmp_path / "pets", {"": 12})
    config = VisionConfig(
        dataset=f"imagefolder:{tmp_path / 'pets'}", image_size=8, width=8, epochs=2, batch_size=5, device="cpu"
    )
    config, histories = replace(config, augment="resized-crop-flip", mixup=0.2), []
    for memory in (2**40, 1000):
        monkeypatch.setattr(custom, "total_memory", lambda memory=memory: memory)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(memory)))
        recipe.load_data.cache_clear()
        run = RunFolder(tmp_path / f"run-{memory}")
        recipe.train(config, run)
        lines = run.history()
        histories.append([{key: value for key, value in line.items() if "second" not in key} for line in lines])
        assert TrainedModel(run).evaluate(TrainedModel(run).test_images()).error == lines[-1]["test_error"]
    recipe.load_data.cache_clear()
    assert histories[0] == histories[1]
