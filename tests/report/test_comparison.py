"""All methods of a task beside each other: sentences, corrected tests, reference, intervals."""

from pathlib import Path

import pytest

from labelemb.errors import ConfigError
from labelemb.report import make_report
from labelemb.report.comparison import compare_methods, comparison_cells, severity_cells
from labelemb.report.experiment import Experiment, load_experiments
from labelemb.report.findings import findings
from labelemb.report.tables import text_table
from tests.report.conftest import WriteRun

ERRORS = {"cross_entropy": 2.0, "label_embedding": 1.5, "label_smoothing": 1.4, "ols": 2.0}


def task_of(write_run: WriteRun, runs: Path, seeds: int) -> Experiment:
    """Modes whose errors go up and down with the seed, each by itself a little."""
    for place, (method, error) in enumerate(ERRORS.items()):
        for seed in range(seeds):
            own = 0.05 * ((seed * (place + 1)) % 3 - 1)
            write_run(method, seed, test=[error + 0.1 * seed + own], metrics={"test_nll": 0.1, "test_ece": 3.0 + seed})
    return load_experiments([runs])[0][0]


def test_the_correction_is_for_the_number_of_modes(write_run: WriteRun, runs: Path) -> None:
    comparison = compare_methods(task_of(write_run, runs, 10))
    assert comparison is not None
    results = {result.method: result for result in comparison.results}
    assert results["label_embedding"].paired is not None
    assert results["label_embedding"].paired.p == pytest.approx(2 / 2**10)
    assert results["label_embedding"].p == results["label_smoothing"].p == pytest.approx(3 * 2 / 2**10)
    assert results["cross_entropy"].p is None


@pytest.mark.parametrize(("seeds", "tested"), [(5, False), (6, False), (7, True)])
def test_seeds_that_cannot_give_a_small_p_get_no_test(
    write_run: WriteRun, runs: Path, seeds: int, tested: bool
) -> None:
    """Of three methods with six seeds the smallest p is 3 * 2 / 2^6 = 0.09."""
    sentence = findings(task_of(write_run, runs, seeds))[0]
    assert ("too few seeds for a test: no claim" not in sentence) is tested
    assert ("better by 0." in sentence) is tested


def test_sentences_are_about_the_reference(write_run: WriteRun, runs: Path) -> None:
    task = task_of(write_run, runs, 10)
    lines = [line for line in findings(task, "label_smoothing") if " against " in line]
    assert "one-hot against label smoothing: worse by 0." in lines[0]
    assert "label embedding against label smoothing: worse by 0." in lines[1]
    assert "online smoothing against one-hot: no difference could be shown" in findings(task)[2]
    with pytest.raises(ConfigError, match="reference: expected a method of mnist-mlp"):
        compare_methods(task, "frozen_embedding")


def test_severity_has_a_table_of_its_own(write_run: WriteRun, runs: Path) -> None:
    for method in ("cross_entropy", "label_embedding"):
        figures = {"test_aurc": 0.25, "test_hierarchical_distance": 0.5}
        write_run(method, 0, test=[2.0], metrics=figures if method == "label_embedding" else {})
    experiment = load_experiments([runs])[0][0]
    comparison = compare_methods(experiment)
    assert comparison is not None
    assert comparison_cells(comparison)[0] == ["method", "error %", "better than one-hot by (95 %)", "p"]
    head, without, having = severity_cells(comparison)
    assert head == ["method", "AURC %", "distance"]
    assert (without, having) == (["one-hot", "–", "–"], ["label embedding", "0.25 (1)", "0.500"])
    assert "severity of errors and order by confidence" in text_table([experiment])


def test_figures_that_runs_have_are_columns(write_run: WriteRun, runs: Path) -> None:
    comparison = compare_methods(task_of(write_run, runs, 2))
    assert comparison is not None
    head, *rows = comparison_cells(comparison)
    assert head == ["method", "error %", "NLL", "ECE %", "better than one-hot by (95 %)", "p"]
    # 2 - 0.05 and 2.1 + 0
    assert rows[0][:4] == ["one-hot", "2.02 ± 0.11 (2)", "0.100 ± 0.000", "3.50 ± 0.71"]


def test_the_report_draws_intervals_and_takes_the_reference(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    task_of(write_run, runs, 3)
    report = make_report([runs], tmp_path / "report", reference="label_embedding")
    assert tmp_path / "report" / "intervals-mnist-mlp.svg" in report.figures
    assert "better than label embedding by" in report.text
    assert "--reference label_embedding" in report.page.read_text()
