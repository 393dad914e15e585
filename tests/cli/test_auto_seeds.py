"""``labelemb compare --seeds auto``: stops when decided, goes on when not, and refuses what makes no sense."""

import json
from pathlib import Path

import pytest

from labelemb.cli.main import main
from labelemb.runs import find_runs

DIGITS = ["compare", "digits", "--method", "cross_entropy,label_embedding", "--width", "8", "--threads", "1"]


def test_it_stops_after_the_look_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Within 50 points after one epoch: the first look has to find the two alike.
    assert main([*DIGITS, "--epochs", "1", "--seeds", "auto", "--within", "50", "--budget", "8"]) == 0
    said = capsys.readouterr().out
    assert "Comparing after 6, 8 seeds" in said
    assert "alike within 50 points" in said
    assert "8 seeds: " not in said
    assert len(find_runs(["runs/digits"])) == 12
    record = json.loads(Path("runs/digits/seeds-auto.json").read_text())
    assert record["decisions"]["label_embedding"]["n"] == 6
    assert "too optimistic" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "auto"], "within: expected"),
        (["--within", "0.2"], "within: expected --seeds auto"),
        (["--budget", "20"], "budget: expected --seeds auto"),
        (["--seeds", "auto", "--within", "0"], "a margin in points above 0"),
        (["--seeds", "auto", "--within", "0.2", "--budget", "5"], "budget: expected at least 6"),
        (["--seeds", "auto", "--within", "0.2", "--alike", "0.2"], "alike: expected"),
        (["--seeds", "6", "--alike=-0.2"], "a margin in points above 0"),
        (["--seeds", "automatic"], "seeds: expected a whole number or auto"),
    ],
)
def test_wrong_options_are_one_line_and_train_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DIGITS, *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_several_processes_need_a_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*DIGITS, "--seeds", "auto", "--within", "0.2"]) == 2
    assert "seeds: expected a number in a run of several processes" in capsys.readouterr().err
