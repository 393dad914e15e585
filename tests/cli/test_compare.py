"""compare, ablate, sweep: what is missing is trained, and what is said is about the right runs."""

import csv
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from labelemb.cli import compare
from labelemb.cli.main import main
from labelemb.functional import TERMS
from labelemb.runs import Recorder, RunFolder, find_runs
from labelemb.training import multirun
from tests.processes import run_alone, wait_for_end

QUICK = ["--epochs", "1", "--width", "8", "--threads", "1"]


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Return what runs a verb in an empty folder, and returns what it says."""
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> str:
        assert main([*command.split(), *QUICK]) == 0
        return capsys.readouterr().out

    return run


def test_compare_trains_what_is_missing_and_leaves_other_methods_out(session: Callable[[str], str]) -> None:
    session("train digits --method label_embedding --seed 1")
    session("train digits --method ols")
    there = Path("runs/digits/label_embedding/seed-1/history.jsonl")
    before = there.read_text()
    said = session("compare digits --method label_smoothing,label_embedding --seeds 2")
    assert there.read_text() == before
    assert "1 of 4 runs were done before" in said
    assert "online" not in said
    finding = r"- digits: label embedding against label smoothing: [^\n]*2 paired seeds, too few seeds for a test"
    assert re.search(finding, said), said
    assert "--reference label_smoothing" in Path("runs/digits/report/report.html").read_text()
    assert Path("runs/digits/report/intervals-digits.png").is_file()
    said = session("compare digits --method label_smoothing,label_embedding --seeds 2 --reference label_embedding")
    assert "4 of 4 runs were done before" in said
    assert "label smoothing against label embedding" in said


@pytest.mark.parametrize(("alike", "lines"), [(None, 1), (0.2, 2)])
def test_compare_ends_with_label_embedding_against_label_smoothing(
    alike: float | None, lines: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, method in enumerate(("cross_entropy", "label_smoothing", "label_embedding")):
        for seed in range(6):
            with Recorder(tmp_path, "a", method, seed) as recorder:
                recorder.log(epoch=1, test_error=9.0 - number + 0.01 * seed * number)
    folders = [tmp_path / "a" / method for method in ("cross_entropy", "label_smoothing", "label_embedding")]
    compare._answer_question(folders, compare.Analysis("cross_entropy", alike=alike), Console(width=1000))
    said = capsys.readouterr().out.strip().splitlines()
    assert said[0] == "Label embedding and label smoothing, compared with each other:"
    assert re.match(r"- a: label embedding against label smoothing: better by 0.97 \(.*p = 0.031", said[1])
    assert len(said) == 1 + lines


def test_compare_of_several_presets_is_one_report(
    session: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text("task: vision\ndataset: digits\nmodel: mlp\nlearning_rate: 0.01\n")
    said = session("compare digits,other.yaml --method cross_entropy,label_embedding --seeds 2")
    assert all(f"- {name}: label embedding against one-hot:" in said for name in ("digits", "other"))
    assert "All experiments together:" in said
    assert RunFolder.of("runs", "other", "cross_entropy", 1).config()["learning_rate"] == 0.01
    assert RunFolder.of("runs", "digits", "cross_entropy", 1).config()["learning_rate"] != 0.01
    assert Path("runs/report/intervals-error-against-cross_entropy.svg").is_file()
    for wrong, expected in (("digits,none", "preset: expected"), ("digits,mnist-mlp --name x", "name: expected")):
        assert main(["compare", *wrong.split(), "--seeds", "2"]) == 2
        assert capsys.readouterr().err.startswith(f"labelemb: {expected}")


def test_ablate_switches_each_term_off(session: Callable[[str], str]) -> None:
    said = session("ablate digits")
    left = {run.path.parent.name: set(run.config()["terms"].split(",")) for run in find_runs(["runs/digits-ablation"])}
    assert left.pop("label_embedding") == set(TERMS)
    assert left == {f"label_embedding-without-{term}": set(TERMS) - {term} for term in TERMS}
    assert all(f"label embedding without {term} against label embedding:" in said for term in TERMS)


def test_sweep_chooses_by_validation_alone(session: Callable[[str], str]) -> None:
    said = session("sweep digits tau=1,4 beta=0.25,0.5 --seeds 2")
    runs = find_runs(["runs/digits-sweep-label_embedding"])
    assert [(run.config()["tau"], run.config()["beta"]) for run in runs[::2]] == [
        (1, 0.25),
        (1, 0.5),
        (4, 0.25),
        (4, 0.5),
    ]
    assert all(run.config()["validate"] is True for run in runs)
    assert "test_" not in said.replace("paired test", "")
    with Path("runs/digits-sweep-label_embedding/report/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row, run in zip(rows, runs, strict=True):
        assert float(row["valid_error"]) == run.history()[-1]["valid_error"]
    table = [line.split() for line in said.splitlines() if re.match(r"[14]\s+0\.", line)]
    means = [float(line[2]) for line in table]
    assert len(means) == 4
    assert means == sorted(means), "best first"
    assert Path("runs/digits-sweep-label_embedding/report/sweep.png").stat().st_size > 5000
    assert "8 of 8 runs were done before" in session("sweep digits tau=1,4 beta=0.25,0.5 --seeds 2")


def test_sweep_by_another_figure_and_one_key(session: Callable[[str], str]) -> None:
    said = session("sweep digits smoothing=0.1,0.3 --method label_smoothing --metric valid_nll")
    assert re.search(r"smoothing  validation NLL\n─+\n0\.\d\s+\d\.\d{3} \(1\)", said), said


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "sweep digits smoothing=0.1,0.3",
            "grid: expected keys that method label_embedding uses, got smoothing",
        ),
        ("sweep digits tau=1,2 --metric valid_nonsense", "metric: expected one of the validation data (valid_error, "),
        ("sweep digits tau=1,2 --metric test_error", "metric: expected one of the validation data"),
    ],
)
def test_what_a_sweep_refuses_before_it_trains(
    command: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    assert says in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_precisions_side_by_side(session: Callable[[str], str]) -> None:
    said = session("sweep digits precision=fp32,bf16")
    assert len(find_runs(["runs/digits-sweep-label_embedding"])) == 2
    assert "FAILED" not in said


def die_after_a_run(worker: Path, arguments: list[str]) -> int:
    """Call the command line; die when the first run has ended and the worker has the second."""

    def die(*_: object) -> str:
        (process,) = multiprocessing.active_children()
        worker.write_text(str(process.pid))
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    multirun.NotDone.note = die  # type: ignore[method-assign]
    return main(arguments)


def test_a_sweep_that_was_killed_goes_on(tmp_path: Path, session: Callable[[str], str]) -> None:
    worker = tmp_path / "worker"
    assert run_alone(die_after_a_run, worker, ["sweep", "digits", "tau=1,2,4", *QUICK]) == -signal.SIGKILL
    wait_for_end(int(worker.read_text()))  # which holds the lock of the second run
    report = tmp_path / "runs" / "digits-sweep-label_embedding" / "report"
    assert not report.exists()
    assert re.search("[12] of 3 runs were done before", session("sweep digits tau=1,2,4"))
    assert [len(run.history()) for run in find_runs([tmp_path / "runs"])] == [1] * 3
    assert (report / "sweep.png").is_file()
