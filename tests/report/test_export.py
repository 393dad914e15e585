"""labelemb export: what comes out is what went in."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding
from labelemb.cli.main import main
from labelemb.report import export
from labelemb.report.export import sprite_sheet
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.recipe import train
from labelemb.terms.embedding import LabelEmbedding

NAMES = ["cat", "dog, old", "tab\there"]


@pytest.fixture(params=["dense", "compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    embedding: LabelEmbedding = DenseLabelEmbedding(3) if request.param == "dense" else CompressedLabelEmbedding(3, 2)
    with torch.no_grad():
        for parameter in embedding.parameters():
            parameter.copy_(torch.randn_like(parameter))
    embedding.save(tmp_path / "e.safetensors", NAMES)
    return tmp_path / "e.safetensors"


def test_csv(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    assert main(["export", str(file), "--to", "csv", "--out", str(out)]) == 0
    with out.open(newline="") as content:
        rows = list(csv.reader(content))
    assert rows[0] == ["label", *NAMES]
    assert [row[0] for row in rows[1:]] == NAMES
    values = torch.tensor([[float(value) for value in row[1:]] for row in rows[1:]])
    torch.testing.assert_close(values, LabelEmbedding.load(file).soft_labels().detach(), atol=1e-6, rtol=1e-5)


def test_npy(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(file), "--to", "npy", "--logits"]) == 0
    values = torch.from_numpy(np.load(tmp_path / "labels.npy"))
    assert torch.equal(values, LabelEmbedding.load(file).matrix().detach())
    assert (tmp_path / "labels.txt").read_text().splitlines() == ["cat", "dog, old", "tab here"]


def test_many_labels_go_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    rows = CompressedLabelEmbedding.rows

    def counted(embedding: CompressedLabelEmbedding, labels: torch.Tensor) -> torch.Tensor:
        asked.append(len(labels))
        return rows(embedding, labels)

    embedding = CompressedLabelEmbedding(7, 2)
    whole = embedding.soft_labels().detach().numpy()
    monkeypatch.setattr(CompressedLabelEmbedding, "rows", counted)
    monkeypatch.setattr(export, "BLOCK", 15)
    export.export_embedding(embedding, "npy", tmp_path / "x.npy")
    assert asked == [2, 2, 2, 1]
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), whole, rtol=1e-6)


def test_safetensors(file: Path, tmp_path: Path) -> None:
    assert main(["export", str(file), "--to", "safetensors", "--out", str(tmp_path / "y.safetensors")]) == 0
    again = LabelEmbedding.load(tmp_path / "y.safetensors")
    assert again.label_names == NAMES
    assert torch.equal(again.matrix(), LabelEmbedding.load(file).matrix())


def test_projector_without_images(file: Path, tmp_path: Path) -> None:
    assert main(["export", str(file), "--to", "tensorboard", "--out", str(tmp_path / "p")]) == 0
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        "metadata.tsv",
        "projector_config.pbtxt",
        "tensors.tsv",
    ]
    assert (tmp_path / "p" / "metadata.tsv").read_text() == "cat\ndog, old\ntab here\n"
    values = torch.from_numpy(np.loadtxt(tmp_path / "p" / "tensors.tsv", delimiter="\t")).float()
    torch.testing.assert_close(values, LabelEmbedding.load(file).soft_labels().detach(), atol=1e-6, rtol=1e-5)


def test_projector_of_a_run_has_a_thumbnail_per_label(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(VisionConfig(width=8, epochs=1, channels_last=False), run)
    assert main(["export", str(run.path), "--to", "tensorboard", "--out", str(tmp_path / "p")]) == 0
    config = (tmp_path / "p" / "projector_config.pbtxt").read_text()
    assert config.count("single_image_dim: 8") == 2
    assert config.count("{") == config.count("}") == 2
    sheet = np.asarray(Image.open(tmp_path / "p" / "sprite.png"))
    assert sheet.shape == (32, 32, 3), "ten labels on a grid of 4 x 4"
    assert sheet[16:24, 8:16].any(), "the last label"
    assert not sheet[16:24, 16:].any(), "beyond it"


def test_sprite_sheet_goes_row_by_row_and_shrinks_what_is_large() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 128, 100) * 10
    sheet, height, width = sprite_sheet(images)
    assert (height, width) == (64, 50)
    assert sheet.shape == (3 * 64, 3 * 50, 3)
    assert sheet[::64, ::50, 0].tolist() == [[0, 10, 20], [30, 40, 0], [0, 0, 0]]


def test_mistakes(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(file), "--to", "excel"]) == 2
    assert "to: expected safetensors or csv or npy or tensorboard, got 'excel'" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--to", "csv"]) == 2
    assert "a run with a label embedding" in capsys.readouterr().err
