import csv
import io
from pathlib import Path

import pytest

from labelemb.report.charts.curves import Quantity, curves_chart, curves_of
from labelemb.report.charts.style import Palette
from labelemb.report.checks import comparability_warnings, unfinished_runs
from labelemb.report.comparison import format_p, p_equation
from labelemb.report.csv_table import csv_table
from labelemb.report.experiment import Convergence, Experiment, load_experiments
from labelemb.report.findings import convergence_sentence, findings
from labelemb.report.tables import markdown_table, text_table
from tests.report.conftest import WriteRun


@pytest.fixture
def experiments(write_run: WriteRun, runs: Path) -> list[Experiment]:
    for seed, (one_hot, soft) in enumerate([(2.0, 1.5), (2.2, 1.6), (1.8, 1.1)]):
        write_run("cross_entropy", seed, test=[one_hot + 1, one_hot], valid=[1.0, 2.0], seconds=4.6)
        write_run("label_embedding", seed, test=[soft, soft], seconds=5.46)
    write_run("label_embedding", 3, test=[9.0], finished=False, config={"epochs": 2})
    return load_experiments([runs])[0]


def test_text(experiments: list[Experiment]) -> None:
    text = text_table(experiments)
    rows = [" ".join(line.split()) for line in text.splitlines() if line.startswith("mnist-mlp ")]
    assert rows[0] == "mnist-mlp 2.00 ± 0.20 (3) 1.40 ± 0.26 (3) 0.60 (30.0 %) 4.6 → 5.46"
    assert rows[1] == "mnist-mlp 3.00 ± 0.20 (3) – – 4.6 → 5.46"  # label_embedding has no validation split here
    assert "after the last epoch (the published convention)" in text
    assert "lowest validation error" in text
    assert "Unfinished runs, not counted:\n- mnist-mlp, label embedding: seed 3 (epoch 1 of 2)" in text


def test_markdown_escapes_what_would_break_a_row(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0], task="a|b<i>")
    table = markdown_table(load_experiments([runs])[0])
    assert "| a\\|b&lt;i> | 2.00 (1) |" in table


def test_csv_holds_the_numbers_unrounded(experiments: list[Experiment]) -> None:
    last, chosen = csv.DictReader(io.StringIO(csv_table(experiments)))
    assert last["metric"] == "last"
    assert float(last["cross_entropy_mean"]) == pytest.approx(2.0)
    assert float(last["label_embedding_reduction"]) == pytest.approx(0.6)
    assert float(last["label_embedding_relative_reduction"]) == pytest.approx(0.3)
    assert (last["label_embedding_n"], last["label_embedding_pairs"]) == ("3", "3")
    assert (chosen["label_embedding_n"], chosen["label_embedding_mean"]) == ("0", "")


def test_no_p_value_is_shown_as_zero() -> None:
    assert (format_p(1e-9), format_p(0.0001), format_p(0.25)) == ("< 0.0001", "0.0001", "0.25")
    assert (p_equation(1e-9), p_equation(0.047)) == ("p < 0.0001", "p = 0.047")


def test_few_evaluations_are_marked_on_a_curve(experiments: list[Experiment]) -> None:
    curves = curves_of(experiments[0].groups["label_embedding"], "test_error")
    assert curves is not None
    chart = curves_chart("c", experiments[0], Quantity("test_error", "error"), [curves], Palette(["label_embedding"]))
    assert chart.axes is not None
    assert {line.get_marker() for line in chart.axes.lines} == {"o"}


def test_the_pace_is_as_exact_as_the_evaluations() -> None:
    every_epoch = convergence_sentence(Convergence(3.0, 2.0, 40, 6, 1.0), "label_embedding")
    seldom = convergence_sentence(Convergence(40.0, 2.0, 40, 6, 20.0), "label_embedding")
    assert every_epoch.endswith("in epoch 3 of 40, median of 6 seeds")
    assert seldom.endswith("by epoch 40 of 40, median of 6 seeds, evaluated every 20 epochs")


def test_a_finding_is_one_sentence_with_its_interval(experiments: list[Experiment]) -> None:
    # Differences 0.5, 0.6, 0.7: 0.6 ± 4.3027 * 0.1 / sqrt(3).
    sentence, pace = findings(experiments[0])
    assert pace == (
        "mnist-mlp: label embedding reaches one-hot's mean error after the last epoch (2.00 %) in epoch 1 of 2, "
        "median of 3 seeds."
    )
    assert sentence == (
        "mnist-mlp: label embedding against one-hot: 0.60 points lower (0.35 to 0.85), "
        "but 3 paired seeds, too few seeds for a test: no claim."
    )


@pytest.mark.parametrize(
    ("one_hot", "soft", "expected"),
    [
        ([2.0, 2.0], [1.0, 3.0], "no difference could be shown: 0.00 (-12.71 to 12.71) points, 2 paired seeds"),
        ([1.0, 1.0], [2.0, 2.0], "1.00 points higher on each of 2 pairs of runs: too few for an interval"),
        ([1.0] * 5 + [1.1], [2.0] * 6, "worse by 0.98 (0.94 to 1.03) points, 6 paired seeds, p = 0.03"),
        ([1.0] * 4 + [1.1], [2.0] * 5, "0.98 points higher (0.92 to 1.04), but 5 paired seeds, too few seeds"),
        ([2.0], [1.5], "0.50 points lower on a single pair of runs: too few for an interval"),
        ([2.0], [2.0], "no difference on a single pair of runs"),
    ],
)
def test_verdicts(write_run: WriteRun, runs: Path, one_hot: list[float], soft: list[float], expected: str) -> None:
    for seed, (first, second) in enumerate(zip(one_hot, soft, strict=True)):
        write_run("cross_entropy", seed, test=[first])
        write_run("label_embedding", seed, test=[second])
    assert expected in findings(load_experiments([runs])[0][0])[0]


def test_seeds_without_a_pair(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0])
    write_run("label_embedding", 1, test=[1.0])
    (task,) = load_experiments([runs])[0]
    assert "no seed was run with both methods" in findings(task)[0]
    assert any("1 seed against 1" in line and "the 0 that both have" in line for line in comparability_warnings(task))


def test_warns_of_configs_that_differ_within_a_mode(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[2.0])
    write_run("label_embedding", 1, test=[2.0], config={"learning_rate": 0.1})
    (line,) = comparability_warnings(load_experiments([runs])[0][0])
    assert "differ in learning_rate: 0.001 (label embedding seed 0); 0.1 (label embedding seed 1)" in line


def test_warns_of_another_recipe_and_other_data_between_modes(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0], signature={"data_digest": "d2", "threads": 2})
    write_run("label_embedding", 0, test=[2.0], config={"batch_size": 50, "tau": 1.0, "epochs": 7})
    lines = "\n".join(comparability_warnings(load_experiments([runs])[0][0]))
    assert "were trained on different data: d2 (one-hot seed 0); d1 (label embedding seed 0)" in lines
    assert "epochs is 7, but 1 for one-hot" in lines
    assert "seconds per epoch come from different machines" in lines
    assert "tau" not in lines


def test_nothing_to_warn_of(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0])
    write_run("label_embedding", 0, test=[2.0])
    (task,) = load_experiments([runs])[0]
    assert comparability_warnings(task) == []
    assert unfinished_runs(task) == []


def test_notes_stand_with_the_table(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0], config={"note": "JPEG-compressed"})
    assert "Data:\n- mnist-mlp: JPEG-compressed" in text_table(load_experiments([runs])[0])
