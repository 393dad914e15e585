"""A run folder holds what it takes to use its model: predict and evaluate, on its own data and on others."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from labelemb.cli.main import main
from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import load
from labelemb.tasks.vision.recipe import train
from labelemb.tasks.vision.trained import TrainedModel


def paint(root: Path, count: int, names: tuple[str, ...] = ("night", "noon", "dusk"), size: int = 20) -> Path:
    """Images that a net of width 2 can tell apart: by their brightness."""
    rng = np.random.default_rng(0)
    level = {"night": 20, "dusk": 120, "noon": 230}
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = level[name] + rng.integers(-15, 15, (size, size + 6, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on a person's own images."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data = f"imagefolder:{paint(root / 'sky', 40)}"
        config = VisionConfig(dataset=data, model="mlp", width=32, epochs=25, batch_size=16, channels_last=False)
        (root / "groups.csv").write_text("night,dark\ndusk,dark\nnoon,bright\n", encoding="utf-8")
        train(replace(config, groups=str(root / "groups.csv")), RunFolder(root / "run"))
    return RunFolder(root / "run")


def test_predict(own: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(tmp_path / "new", 2, size=50)
    assert main(["predict", str(own.path), str(tmp_path / "new"), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(line.split()[1] == Path(line.split()[0]).parent.name for line in lines)
    file = str(tmp_path / "new" / "noon" / "1.png")
    assert main(["predict", str(own.path), file, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["image"] == file
    assert row["labels"][0]["label"] == "noon"
    assert sum(label["probability"] for label in row["labels"]) == pytest.approx(1)


def test_evaluation_of_the_test_split_equals_the_history(own: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for checkpoint in ("last", "best"):
        assert main(["evaluate", str(own.path), "--checkpoint", checkpoint, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["count"] == 24
        lines = own.history()
        line = lines[-1] if checkpoint == "last" else min(lines, key=lambda line: line["valid_error"])
        assert found["error"] == pytest.approx(line["test_error"])
        assert found["ece"] == pytest.approx(line["test_ece"], abs=1e-3)
        assert found["temperature"] == 1


def test_severity_of_errors(own: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of test images are renamed, so that some predictions are wrong in known ways."""
    assert own.history()[-1]["test_hierarchical_distance"] == own.history()[-1]["test_aurc"] == 0
    images = paint(tmp_path / "sky", 4)
    (images / "night" / "0.png").rename(images / "noon" / "other.png")  # predicted night: another group
    (images / "dusk" / "0.png").rename(images / "night" / "other.png")  # predicted dusk: the group of night
    command = ["evaluate", str(own.path), "--dataset", f"imagefolder:{images}"]
    assert main([*command, "--decide", "least_severe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["most_probable"]["error"] == found["error"] == pytest.approx(100 * 2 / 12)
    assert found["most_probable"]["errors_in_group"] == pytest.approx(50)
    assert found["most_probable"]["hierarchical_distance"] == pytest.approx((1 + 2) / 12)
    assert set(found["least_severe"]) == set(found["most_probable"])
    assert main([*command, "--decide", "least_severe"]) == 0
    assert "\nleast severe labels: error" in capsys.readouterr().out
    assert main([*command, "--decide", "severest"]) == 2
    assert "decide: expected most_probable or least_severe" in capsys.readouterr().err
    (tmp_path / "part.csv").write_text("night,dark\n", encoding="utf-8")
    assert main([*command, "--groups", str(tmp_path / "part.csv")]) == 2
    assert "a group for all 3 labels" in capsys.readouterr().err


def test_evaluate_on_another_folder_matches_labels_by_name(
    own: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(tmp_path / "other" / "test", 5, names=("noon", "night"))
    paint(tmp_path / "other" / "train", 2)
    for source in (["--data", str(tmp_path / "other")], ["--dataset", f"imagefolder:{tmp_path / 'other'}"]):
        assert main(["evaluate", str(own.path), *source]) == 0
        said = capsys.readouterr().out
        assert "10 images  error 0.00 %" in said
        assert "most often wrong" not in said
    (tmp_path / "other" / "test" / "dawn").mkdir()
    assert main(["evaluate", str(own.path), "--data", str(tmp_path / "other")]) == 2
    assert "folders named after labels: dusk, night, noon, got dawn" in capsys.readouterr().err


def test_run_on_a_named_data_set(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(VisionConfig(width=16, epochs=1, channels_last=False), run)
    model = TrainedModel(run)
    assert model.evaluate(model.test_images()).error == pytest.approx(run.history()[-1]["test_error"])
    with pytest.raises(DataError, match="got no folder /nowhere"):
        model.test_images("imagefolder:/nowhere")


def test_calibration_minimises_validation_nll(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path / "run")
    train(VisionConfig(width=16, epochs=3, learning_rate=0.01, channels_last=False), run)
    model = TrainedModel(run)
    temperature, valid = model.fit_temperature(), load("digits", None).valid
    assert valid is not None
    best = model.evaluate(valid, temperature).nll
    assert all(best < model.evaluate(valid, temperature * factor).nll for factor in (0.97, 1.03, 1 / temperature))
    assert main(["evaluate", str(run.path), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(run.path), "--json", "--calibrate"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["temperature"] == temperature
    assert found["nll"] == model.evaluate(model.test_images(), temperature).nll
    assert found["nll"] != plain["nll"]
    assert found["ece"] != plain["ece"]
    same = ("count", "error", "error_top5", "errors_by_label")
    assert [found[key] for key in same] == [plain[key] for key in same]
    assert main(["evaluate", str(run.path), "--calibrate"]) == 0
    assert f"temperature {temperature:.3f}; without it nll {plain['nll']:.3f}" in capsys.readouterr().out


def test_calibration_without_validation_split_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path / "run")
    train(VisionConfig(width=8, epochs=1, channels_last=False, validate=False), run)
    assert main(["evaluate", str(run.path), "--calibrate"]) == 2
    assert "a run with validation images, to fit a temperature on, got none held out" in capsys.readouterr().err
    assert main(["evaluate", str(run.path)]) == 0
    assert main(["evaluate", str(run.path), "--eval_metrics", "bleu"]) == 2
    assert (
        "eval_metrics: expected nothing, since it is an option of translation runs, got 'bleu'"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("predict {run} nowhere.png", "images: expected files, or folders .* got nowhere.png: no such file or folder"),
        ("predict {run} {run}", "a folder without images"),
        ("predict {run} {run}/config.yaml", "an image .*, got .*config.yaml"),
        ("predict nowhere x.png", "nowhere/config.yaml: expected a file of a run folder"),
        ("predict {run} x.png --checkpoint first", "checkpoint: expected last or best, got 'first'"),
        ("evaluate {run} --dataset digits", "labels of the model .dusk, night, noon., got 0, 1"),
        ("evaluate {run} --dataset minst", "dataset: expected digits"),
    ],
)
def test_errors(own: RunFolder, command: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.format(run=own.path).split()) == 2
    said = capsys.readouterr().err
    assert re.search(says, said), said
    assert said.count("\n") == 1


def test_damaged_or_missing_files_are_reported(own: RunFolder, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(own.path, tmp_path / "copy")
    run = RunFolder(tmp_path / "copy")
    run.best_checkpoint.unlink()
    with pytest.raises(DataError, match="held out no validation data"):
        TrainedModel(run, "best")
    torch.save({"model": {"head.weight": torch.zeros(2)}}, run.last_checkpoint)
    with pytest.raises(DataError, match="the weights of a Mlp"):
        TrainedModel(run)
    run.data_file.write_text('{"label_names": 3}')
    with pytest.raises(DataError, match="data.json, label_names: expected a valid list, got 3"):
        TrainedModel(run)
    run.data_file.unlink()
    with pytest.raises(DataError, match="no such file"):
        TrainedModel(run)
