"""Votes of people and a grouping of the labels in the report."""

import json
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import DataError
from labelemb.report import Judgements, make_report
from labelemb.runs.predictions import Predictions
from tests.report.conftest import ANIMAL_ROWS, ANIMALS, soft, write


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Ten predictions, of which two are wrong: one inside the group of its label, one outside."""
    for method in ("cross_entropy", "label_embedding"):
        learned = {"logits": soft(*ANIMAL_ROWS), "names": ANIMALS} if method == "label_embedding" else {}
        run = write(tmp_path / "runs", method, 0, test=[2.0], task="animals", **learned)  # type: ignore[arg-type]
        run.data_file.write_text(json.dumps({"label_names": list(ANIMALS)}), encoding="utf-8")
        labels = np.zeros(10, np.uint8)
        predicted = np.array([0] * 8 + [1, len(ANIMALS) - 1], np.uint8)
        confidence = np.linspace(1, 0.1, 10, dtype=np.float32)
        run.write_predictions({"test": Predictions(labels, predicted, confidence, confidence)})
    return tmp_path / "runs"


def test_agreement_and_severity_are_in_the_report(animals: Path, tmp_path: Path) -> None:
    groups, human = tmp_path / "groups.csv", tmp_path / "human.csv"
    groups.write_text("".join(f"{name},{'pet' if place < 2 else 'wild'}\n" for place, name in enumerate(ANIMALS)))
    rows = np.random.default_rng(0).random((len(ANIMALS),) * 2)
    lines = [",".join([name, *(f"{value:.3f}" for value in row)]) for name, row in zip(ANIMALS, rows, strict=True)]
    human.write_text("\n".join([",".join(["", *ANIMALS]), *lines]))
    made = make_report([animals], tmp_path / "out", judgements=Judgements(human, groups))
    page = made.page.read_text(encoding="utf-8")
    assert "Agreement with human.csv, animals, label embedding, 1 seed: Spearman" in made.text
    assert 'id="people"' in page
    assert f"--human {human} --groups {groups}" in page
    (row,) = (line.split() for line in made.text.splitlines() if line.startswith("one-hot") and line.endswith("0.300"))
    assert row[-2:] == ["50.00", "0.300"]  # errors in group, distance (1 + 2) / 10
    assert {"people-animals-label_embedding", "people-heatmaps-animals-label_embedding"} <= {
        path.stem for path in made.figures
    }


def test_files_that_fit_no_run_are_refused(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("car,vehicle\n")
    (tmp_path / "human.csv").write_text(",a,b,c\na,1,2,3\nb,2,1,3\nc,3,2,1\n")
    with pytest.raises(DataError, match="a group for all"):
        make_report([animals], tmp_path / "out", judgements=Judgements(groups=tmp_path / "groups.csv"))
    with pytest.raises(DataError, match="human: expected runs with a label embedding of labels that the file has"):
        make_report([animals], tmp_path / "out", judgements=Judgements(human=tmp_path / "human.csv"))
    assert not (tmp_path / "out").exists()
