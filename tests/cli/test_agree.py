"""``labelemb agree`` with made-up votes: what it prints, writes and refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from labelemb import DenseLabelEmbedding
from labelemb.cli.main import main

NAMES = ["cat", "dog", "car", "truck"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An embedding of four labels, and votes that order the pairs as it does."""
    embedding = DenseLabelEmbedding(4)
    embedding.label_names = NAMES
    with torch.no_grad():
        embedding.weight.copy_(
            torch.tensor([[4, 2, 0.2, 0.1], [1.9, 4, 0.0, 0.3], [0.1, 0, 4, 2.2], [0.15, 0.3, 1.8, 4]])
        )
    embedding.save(tmp_path / "labels.safetensors")
    soft = torch.softmax(embedding.rows(torch.arange(4)).detach(), dim=-1).numpy()
    order = [3, 1, 0, 2]
    rows = [",".join(["", *(NAMES[place] for place in order)])]
    rows += [",".join([NAMES[y], *(str(7 * soft[y, k]) for k in order)]) for y in order]
    (tmp_path / "human.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "groups.csv").write_text("cat,animal\ndog,animal\ncar,vehicle\ntruck,vehicle\n", encoding="utf-8")
    return tmp_path / "labels.safetensors", tmp_path / "human.csv"


def test_three_decimals_spearman_first(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, human = files
    assert main(["agree", str(source), "--human", str(human), "--groups", str(human.parent / "groups.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Spearman, all 12 directed pairs +1\.000", lines[0])
    assert re.fullmatch(r"Spearman by row, mean of 4 +1\.000", lines[1])
    assert re.match(r"Mantel test, p \(9999 permutations\) +0\.\d{3}$", lines[2])
    assert lines[-1].endswith("1.000")


def test_the_folder_holds_numbers_without_votes_and_pictures(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, human = files
    out = tmp_path / "out"
    assert main(["agree", str(source), "--human", str(human), "--out", str(out), "--permutations", "99"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "agreement.json",
        *(f"agreement-{name}.{kind}" for name in ("scatter", "heatmaps") for kind in ("svg", "png")),
    }
    content = json.loads((out / "agreement.json").read_text())
    assert content["results"][0]["spearman"] == pytest.approx(1)
    assert "votes" not in content
    assert "$" not in (out / "agreement-scatter.svg").read_text()


def test_an_exported_table_is_a_source_too(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, human = files
    assert main(["export", str(source), "--to", "csv", "--out", str(tmp_path / "soft.csv")]) == 0
    capsys.readouterr()
    assert main(["agree", str(tmp_path / "soft.csv"), "--human", str(human)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("1.000")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{labels}"], "human: expected"),
        (["{labels}", "--human", "none.csv"], "no such file"),
        (["{labels}", "--human", "{labels}"], "ends in .csv or .npz"),
        (["nowhere", "--human", "{human}"], "nowhere"),
        (["{labels}", "--human", "{human}", "--permutations", "0"], "permutations: expected"),
        (["{labels}", "--human", "{human}", "--groups", "none.csv"], "groups: expected"),
    ],
)
def test_wrong_input_is_one_line(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    labels, human = files
    assert main(["agree", *(word.format(labels=labels, human=human) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_other_labels_are_named(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "votes.npz", counts=np.eye(4, dtype=int), classes=np.array(["cat", "dog", "car", "lorry"]))
    assert main(["agree", str(files[0]), "--human", str(tmp_path / "votes.npz")]) == 2
    assert "none named truck" in capsys.readouterr().err
