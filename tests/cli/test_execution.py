"""Where runs are trained, and their report written: the shares of a job array, URLs."""

from pathlib import Path
from typing import Any

import fsspec
import pytest

from labelemb.cli.execution import Execution
from labelemb.cli.main import main
from labelemb.cli.run_plan import Request
from labelemb.cli.training_options import TrainingCommand
from labelemb.presets import preset_names, read_preset


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_shares_of_a_plan_are_even_and_make_it_whole(count: int) -> None:
    plan: list[Any] = [(seed, method) for seed in range(5) for method in "ab"]
    shares = [Execution(shard=(index, count)).share_of(plan) for index in range(1, count + 1)]
    assert [run for share in shares for run in share] == plan
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("preset", preset_names())
def test_small_presets_take_one_thread_unless_told_otherwise(preset: str) -> None:
    command = TrainingCommand("train", "{preset}{summary}", "")
    small = preset in ("digits", "mnist-mlp", "numbers-en-vi")
    assert command.parser([preset]).parse_args([preset]).threads == (1 if small else None)
    assert command.parser([preset]).parse_args([preset, "--threads", "2"]).threads == 2
    assert "threads" not in read_preset(preset).values


@pytest.mark.parametrize(
    ("execution", "said"),
    [
        (Execution(), ""),
        (Execution(threads=1), "1 thread per run; --threads N for another number"),
        (Execution(threads=3), "3 threads per run; --threads N for another number"),
        (Execution(jobs=2), "1 thread per run; --threads N for another number"),
        (Execution("ray"), "1 thread per run; --threads N for another number"),
    ],
)
def test_summary_of_threads(execution: Execution, said: str) -> None:
    assert execution.summary == said


def test_threads_of_a_users_own_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, short = tmp_path / "mine.yaml", ["--out", str(tmp_path / "runs")]
    preset = "task: vision\ndataset: digits\nepochs: 1\nwidth: 8\nthreads: "
    file.write_text(preset + "1\n")
    assert main(["train", str(file), *short]) == 0
    assert "\n1 thread per run; --threads N for another number\n" in capsys.readouterr().out
    for wrong in ("0", "true", "1.5", "many"):
        file.write_text(preset + wrong + "\n")
        assert main(["train", str(file), *short]) == 2
        assert "threads: expected a whole number >= 1 in " in capsys.readouterr().err


def test_a_report_goes_where_the_runs_are(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits"
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.html").write_text("here")
    (tmp_path / "runs" / "report").mkdir()
    url = f"memory://{tmp_path.name}/digits"
    request: Any = Request(*[None] * 4, folder, None, Execution(), url)  # type: ignore[arg-type]
    assert request.publish_report(folder / "report") == f"{url}/report"
    assert request.publish_report(folder.parent / "report") == f"memory://{tmp_path.name}/report"
    assert request.publish_report(tmp_path / "elsewhere") == str(tmp_path / "elsewhere")
    assert fsspec.filesystem("memory").cat(f"/{tmp_path.name}/digits/report/report.html") == b"here"
