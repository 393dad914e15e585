"""Names from files and folders in whatever is shown: nothing fails, and no control character reaches the terminal."""

import os
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from labelemb.cli.main import main
from labelemb.errors import escape_control
from labelemb.training.progress import TrainingProgress, say
from tests.cli.test_terminal import is_clean
from tests.report.conftest import write

NAMES = ["\x1b[2J", "\x07b", "[bold]", "{x}", "%s", "$x^{", "=1+1", "\u202e", "é", "<script>", "\x9b31m"]
NOT_UTF8 = os.fsdecode(b"\xff") if sys.platform == "linux" else ""
NAMES += [NOT_UTF8]
TOGETHER = [f"\x1b[2J[b]{{x}}%s$^{NOT_UTF8}", "=1+<script>\u202e"]


def folder_with_runs(runs: Path, name: str) -> Path:
    """Write runs of two methods, one of them called ``name``, in an experiment of that name, with such labels."""
    labels = [f"{name}{number}" for number in range(4)]
    for method in ("cross_entropy", name):
        for seed in range(2):
            error = [30.0, 20.0 + seed + (method == name)]
            logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)) if method == name else None
            write(runs, method, seed, error, error, task=name, logits=logits, names=[*map(escape_control, labels)])
    return runs / name


@pytest.mark.parametrize("name", TOGETHER, ids=["terminal", "page"])
def test_a_report(name: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_with_runs(runs, name)
    assert main(["report", str(folder), "--out", str(tmp_path / name)]) == 0
    said = capsys.readouterr()
    assert is_clean(said.out + said.err)
    assert "cross entropy" in said.out or "one-hot" in said.out
    page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
    assert is_clean(page)
    assert "<script>0" not in page
    for table in ("table.txt", "table.md", "pairs.md"):
        assert is_clean((tmp_path / name / table).read_text(encoding="utf-8"))


def test_agreement(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = TOGETHER[0]
    folder = folder_with_runs(runs, name)
    labels = [escape_control(f"{name}{number}") for number in range(4)]
    rows = [",".join(["", *labels])] + [",".join([label, *"1234"]) for label in labels]
    (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")
    code = main(["agree", str(folder), "--human", str(tmp_path / f"{name}.csv"), "--out", str(tmp_path / f"out{name}")])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert is_clean(said.out + said.err)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_lines_and_progress(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    say(Console(), f"{name}: done")
    assert is_clean(said := capsys.readouterr().out)
    assert "done" in said
    monkeypatch.setattr(Console, "is_terminal", True)
    with TrainingProgress(name, 2, 5, 0) as progress:
        progress.line({"epoch": 1, "test_error": 2.0, "seconds": 1.0, name: 1.0})
    assert escape_control(name) in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES[:1])
def test_the_help_of_a_preset_of_someone_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(f'# {escape_control(name)}\ntask: vision\ndataset: "{escape_control(name)}"\n')
    assert main(["train", "my.yaml", "--help"]) in (0, 2)
    said = capsys.readouterr()
    assert is_clean(said.out + said.err)
