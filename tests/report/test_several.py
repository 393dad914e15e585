"""Several experiments together: sentences on improvement and ranks."""

from pathlib import Path

from labelemb.report import make_report
from labelemb.report.experiment import load_experiments
from labelemb.report.several import several_lines
from tests.report.conftest import WriteRun

LEVELS = {"cross_entropy": 10.0, "label_embedding": 8.0, "label_smoothing": 9.0}


def write_tasks(write_run: WriteRun, tasks: int) -> None:
    for task in range(tasks):
        for method, level in LEVELS.items():
            for seed in range(6):
                write_run(method, seed, test=[(1 + task) * level + 0.01 * seed], task=f"task-{task}")


def test_improvement_is_a_share_of_the_reference_over_all_tasks(write_run: WriteRun, runs: Path) -> None:
    write_tasks(write_run, 3)
    lines = several_lines(load_experiments([runs])[0])
    assert lines[0].startswith("label embedding against one-hot: ")
    assert "interquartile mean over 3 tasks" in lines[0]
    assert "beats the reference with probability 1 (1 to 1)" in lines[0]
    share = float(lines[0].split(": ")[1].split(" %")[0])
    assert abs(share - 20) < 0.1


def test_ranks_need_many_tasks(write_run: WriteRun, runs: Path) -> None:
    write_tasks(write_run, 2)
    assert "no two methods can be told apart" in several_lines(load_experiments([runs])[0])[-1]


def test_many_tasks_tell_the_ranks_apart(write_run: WriteRun, runs: Path) -> None:
    write_tasks(write_run, 9)
    assert "over 9 tasks label embedding ranks before one-hot" in several_lines(load_experiments([runs])[0])[-1]


def test_one_experiment_says_nothing_and_a_perfect_reference_is_left_out(write_run: WriteRun, runs: Path) -> None:
    write_tasks(write_run, 1)
    assert several_lines(load_experiments([runs])[0]) == []
    for method in ("cross_entropy", "label_embedding"):
        for seed in range(2):
            write_run(method, seed, test=[0.0], task="perfect")
    assert several_lines(load_experiments([runs])[0]) == []


def test_the_report_has_them(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_tasks(write_run, 2)
    assert "interquartile mean over 2 tasks" in make_report([runs], tmp_path / "out").text


def test_an_experiment_with_more_seeds_does_not_count_more(write_run: WriteRun, runs: Path) -> None:
    for task, gain, seeds in (("many", 5.0, 12), ("few", -5.0, 3)):
        for seed in range(seeds):
            write_run("cross_entropy", seed, test=[10.0], task=task)
            write_run("label_embedding", seed, test=[10.0 - gain + 0.01 * seed], task=task)
    (line,) = several_lines(load_experiments([runs])[0])
    assert abs(float(line.split(": ")[1].split(" %")[0])) < 1
