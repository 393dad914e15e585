"""Pretrained image models: trained, saved, loaded and exported; what does not fit is answered with one line."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import nn

from labelemb.cli.main import main
from labelemb.errors import LabelembError
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.pretrained import InputSpec, build_pretrained, input_spec
from labelemb.tasks.vision.recipe import check, train
from labelemb.tasks.vision.trained import TrainedModel
from tests.tasks.vision.test_trained import paint

transformers = pytest.importorskip("transformers")
MEAN, STD = [0.5, 0.4, 0.3], [0.5, 0.25, 0.2]


def save(folder: Path, kind: str) -> Path:
    """A classifier of five labels with random weights, and the config of its image processor."""
    torch.manual_seed(0)
    if kind == "vit":
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        config = transformers.ViTConfig(image_size=16, patch_size=8, num_labels=5, **sizes)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    else:
        sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
        config = transformers.ResNetConfig(num_labels=5, **sizes)
        transformers.ResNetForImageClassification(config).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    processor |= {"image_mean": MEAN, "image_std": STD, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("images") / "times", 20)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_commands(kind: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(tmp_path / "model", kind)
    options = ["--dataset", f"imagefolder:{images}", "--model", f"hf:{model}", "--epochs", "4", "--batch_size", "8"]
    rates = ["--learning_rate", "0.001", "--head_learning_rate", "0.02", "--device", "cpu", "--precision", "fp32"]
    assert main(["train", "images", *options, *rates, "--out", str(tmp_path / "runs")]) == 0
    run = RunFolder.of(tmp_path / "runs", "times", "label_embedding", 0)
    assert run.config()["image_size"] == 16
    facts = json.loads(run.data_file.read_text())
    assert (facts["mean"], facts["std"]) == (MEAN, STD)
    assert "model_digest" in run.signature()
    assert run.history()[-1]["test_error"] < 20
    capsys.readouterr()
    assert main(["evaluate", str(run.path), "--calibrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"] == pytest.approx(run.history()[-1]["test_error"])
    assert main(["similar", str(run.path), "noon"]) == 0
    assert "dusk" in capsys.readouterr().out

    trained = TrainedModel(run)
    trained.keep_temperature(1.5)
    assert main(["export", str(run.path), "--to", "hf", "--out", str(tmp_path / "hf")]) == 0
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "hf").iterdir()} == {0o644}
    exported = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "hf").eval()
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "hf")
    file = images / "noon" / "0.png"
    with Image.open(file) as image, torch.no_grad():
        logits = exported(**processor(image.convert("RGB").resize((16, 16)), return_tensors="pt")).logits
        pixels = torch.frombuffer(bytearray(image.convert("RGB").resize((16, 16)).tobytes()), dtype=torch.uint8)
        own = trained.logits(pixels.view(1, 16, 16, 3).permute(0, 3, 1, 2)) / 1.5
    torch.testing.assert_close(logits, own, rtol=1e-4, atol=1e-5)
    assert exported.config.id2label[int(logits.argmax())] == trained.predict([file])[0][0][0]


@pytest.mark.parametrize(
    "error", [SafetensorError("I/O error: No space left on device (os error 28)"), OSError(28, "x")]
)
def test_a_failed_export_leaves_nothing(
    error: Exception, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save(tmp_path / "model", "vit")
    options = ["--dataset", f"imagefolder:{images}", "--model", f"hf:{model}", "--epochs", "1", "--device", "cpu"]
    assert main(["train", "images", *options, "--out", str(tmp_path / "runs")]) == 0

    def fail(network: nn.Module, folder: Path, **others: object) -> None:
        (folder / "config.json").touch()
        raise error

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", fail)
    run = str(tmp_path / "runs" / "times" / "label_embedding" / "seed-0")
    capsys.readouterr()
    assert main(["export", run, "--to", "hf", "--out", str(tmp_path / "hf")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'hf'}: expected" in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"model", "runs"}


def test_another_image_size(images: Path, tmp_path: Path) -> None:
    model = save(tmp_path / "model", "vit")
    config = VisionConfig(dataset=f"imagefolder:{images}", model=f"hf:{model}", image_size=24, epochs=1).resolved()
    check(config, RunFolder(tmp_path / "run"))
    train(config, RunFolder(tmp_path / "run"))
    assert TrainedModel(RunFolder(tmp_path / "run")).preprocessing.image_shape == (3, 24, 24)


def test_models_that_do_not_fit(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    vit = save(tmp_path / "vit", "vit")
    other = save(tmp_path / "other", "resnet")
    (other / "config.json").write_text((vit / "config.json").read_text())  # weights of another architecture
    (tmp_path / "empty").mkdir()
    config = VisionConfig(dataset=f"imagefolder:{images}", model=f"hf:{vit}", image_size=4)
    cases = {
        f"hf:{vit}": "--image_size sets the size",
        f"hf:{other}": "weights for all layers of ViTForImageClassification",
        f"hf:{tmp_path / 'empty'}": "a folder with config.json",
        f"hf:{tmp_path / 'nowhere'}": "no such folder",
        "timm:resnet10t": "the package 'timm', for timm: models, got not installed",
    }
    for model, says in cases.items():
        with pytest.raises(LabelembError) as caught:
            check(VisionConfig(**{**vars(config), "model": model}), RunFolder(tmp_path / "run"))
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(LabelembError, match="model: expected a model for images with 1 channels"):
        check(VisionConfig(dataset="digits", model=f"hf:{vit}"), RunFolder(tmp_path / "run"))


def test_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm needs torchvision, which needs its own torch: what is called of it is replaced here."""

    def create_model(name: str, pretrained: bool, num_classes: int) -> nn.Module:
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.ReLU())
        model.add_module("fc", nn.Linear(6, num_classes))
        return model

    spec = SimpleNamespace(input_size=(3, 8, 8), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    fake = SimpleNamespace(create_model=create_model, get_pretrained_cfg=lambda name: spec)
    monkeypatch.setitem(sys.modules, "timm", fake)
    assert input_spec("timm:tiny") == InputSpec(8, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    model = build_pretrained("timm:tiny", (3, 8, 8), 4)
    assert model(torch.rand(2, 3, 8, 8)).shape == (2, 6)
    assert model.head.out_features == 4
    with pytest.raises(LabelembError, match="model: expected a model of timm named huge, got Unknown model"):
        build_pretrained("timm:huge", (3, 8, 8), 4)
