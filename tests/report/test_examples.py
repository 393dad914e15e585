"""Single predictions and several experiments in the report."""

import re
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import DataError
from labelemb.report import make_report
from labelemb.report.example_tables import example_lines, example_tables
from labelemb.report.examples import confused_pairs, load_predictions
from labelemb.report.experiment import Experiment, load_experiments
from labelemb.report.profiles import profile_experiments
from labelemb.runs.predictions import Predictions
from tests.report.conftest import WriteRun

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = {"cross_entropy": [1, 1, 0, 0, 1, 0, 2, 2], "label_embedding": [0, 1, 0, 0, 1, 1, 2, 1]}


def with_predictions(write_run: WriteRun, runs: Path, labels: np.ndarray = LABELS) -> Experiment:
    for method, predicted in PREDICTED.items():
        for seed in range(3):
            ones = np.ones(len(labels), np.float32)
            run = write_run(method, seed, test=[2.0 + 0.1 * seed])
            test = Predictions(labels, np.array(predicted), ones, ones)
            run.write_predictions({"test": test})
            run.keep_output("")
            valid = Predictions(labels, np.array(PREDICTED["cross_entropy"]), ones, ones)
            run.write_predictions({"test": test, "valid": valid})
    return load_experiments([runs])[0][0]


def test_confusions_by_hand(write_run: WriteRun, runs: Path) -> None:
    baseline, other = load_predictions(with_predictions(write_run, runs))
    np.testing.assert_allclose(baseline.confusion(), [[50, 50, 0], [50, 50, 0], [0, 0, 100]])
    assert [(p.label, p.predicted, p.percent) for p in confused_pairs(baseline)] == [("0", "1", 50.0), ("1", "0", 50.0)]
    assert confused_pairs(other)[0].examples == [(7, 3)]


def test_pairs_of_runs_and_changed_examples(write_run: WriteRun, runs: Path) -> None:
    experiment = with_predictions(write_run, runs)
    by_title = {table["title"]: table["cells"] for table in example_tables(experiment, "cross_entropy")}
    pairs = by_title["label embedding against one-hot, pair by pair"]
    assert pairs[0] == ["seed", "test, last epoch", "test, chosen epoch", "validation, last epoch"]
    assert pairs[1] == ["0", "2 / 1, p = 1.00", "2 / 1, p = 1.00", "0 / 0, p = 1.00"]  # examples 0 and 5 against 7
    errors = by_title["Errors over seeds and examples together, label embedding against one-hot"]
    assert [row[:5] for row in errors[1:]] == [
        ["test, last epoch", "3", "8", "37.50", "25.00"],
        ["test, chosen epoch", "3", "8", "37.50", "25.00"],
        ["validation, last epoch", "3", "8", "37.50", "37.50"],
    ]
    assert errors[1][5].startswith("12.50 (")
    changed = by_title["Examples that changed most, label embedding against one-hot, test, last epoch"]
    assert changed[1:] == [["0", "0", "3 (1)", "0"], ["5", "1", "3 (0)", "0"], ["7", "2", "0", "3 (1)"]]
    (line,) = example_lines(experiment, "cross_entropy")
    assert line.startswith("mnist-mlp: label embedding against one-hot: 12.50 (")
    assert line.endswith("points fewer errors; 3 seeds, 8 examples, test, last epoch")


def test_predictions_for_other_examples_are_refused(write_run: WriteRun, runs: Path) -> None:
    experiment = with_predictions(write_run, runs)
    run = experiment.groups["label_embedding"].runs[0].folder
    ones = np.ones(2, np.float32)
    run.write_predictions({"test": Predictions(np.array([0, 1]), np.array([0, 1]), ones, ones)})
    with pytest.raises(DataError, match="the same examples .last/test."):
        load_predictions(load_experiments([runs])[0][0])


def test_the_page_shows_confusions_examples_and_power(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    with_predictions(write_run, runs)
    for seed in range(3):
        write_run("label_embedding", seed, test=[1.0 + 0.05 * seed**2])
    report = make_report([runs], tmp_path / "report")
    assert {"confusion-mnist-mlp-cross_entropy.png", "power-mnist-mlp.png"} <= {path.name for path in report.figures}
    page = report.page.read_text(encoding="utf-8")
    assert re.findall(r"<summary>(.*?)</summary>", page)[0] == "Most confused labels, one-hot"


def test_several_experiments(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    """Label embedding makes half the errors in both, label smoothing the same number."""
    for task, error in (("one", 2.0), ("two", 10.0)):
        for seed in range(4):
            base = error + 0.1 * seed
            for method, factor in (("cross_entropy", 1), ("label_embedding", 0.5), ("label_smoothing", 1)):
                write_run(method, seed, test=[factor * base], task=task)
    found = profile_experiments(load_experiments([runs])[0])
    assert found is not None
    assert found.ranks is not None
    assert next(iter(found.ranks.ranks)) == "label_embedding"
    assert found.profiles["label_embedding"][0].value == 1
    report = make_report([runs], tmp_path / "report")
    assert {"profile.svg", "critical-difference.svg"} <= {path.name for path in report.figures}
    assert profile_experiments(load_experiments([runs / "one"])[0]) is None
