"""Exported models give the logits of the run."""

from pathlib import Path

import numpy as np
import pytest
import torch

import labelemb
from labelemb.cli.main import main
from labelemb.runs import RunFolder
from labelemb.tasks.text import recipe as text
from labelemb.tasks.text.batch import EncodedTexts
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.vision import recipe as vision
from labelemb.tasks.vision.config import VisionConfig
from tests.tasks.text.conftest import sentences, write_csv

Inputs = dict[str, torch.Tensor]
Case = tuple[Path, Inputs, torch.Tensor]


@pytest.fixture(scope="module", params=["vision", "text"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A run with a fitted temperature, inputs of another size than the exporter's, and their logits."""
    folder = tmp_path_factory.mktemp(request.param)
    run = RunFolder(folder / "run")
    if request.param == "vision":
        vision.train(VisionConfig(width=8, epochs=1, channels_last=False), run)
        model = labelemb.load_run(run.path)
        pixels = model.test_images().pixels[:5]
        inputs, logits = {"pixels": pixels}, model.logits(pixels)
    else:
        data = write_csv(folder / "a.csv", sentences(20))
        text.train(TextConfig(dataset=f"csv:{data}", epochs=1, hidden_size=8).resolved(), run)
        model = labelemb.load_run(run.path)
        lines = ["a pear is here", "the hammer", "a finch and a heron there"]
        encoded = EncodedTexts.of(model.tokenizer.encode(lines, 128)[0])
        ids, mask = encoded.padded(np.arange(3), 0)
        inputs, logits = {"input_ids": ids, "attention_mask": mask}, model.logits(lines)
    model.keep_temperature(1.7)
    return run.path, inputs, logits / 1.7


def test_torch(trained: Case, tmp_path: Path) -> None:
    run, inputs, logits = trained
    assert main(["export", str(run), "--to", "torch", "--out", str(tmp_path / "m.pt2")]) == 0
    found = torch.export.load(tmp_path / "m.pt2").module()(*inputs.values())
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-5)


def test_onnx(trained: Case, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run, inputs, logits = trained
    assert main(["export", str(run), "--to", "onnx", "--out", str(tmp_path / "m.onnx")]) == 0
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    torch.testing.assert_close(torch.from_numpy(found), logits, rtol=1e-4, atol=1e-5)
    assert "label_names" in session.get_modelmeta().custom_metadata_map


def test_models_of_other_kinds_are_refused(trained: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained[0]), "--to", "hf", "--out", str(tmp_path / "m")]) == 2
    assert "to: expected onnx or torch: this is not a model of transformers" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
