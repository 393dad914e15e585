import math
from pathlib import Path

import pytest

from labelemb.errors import DataError
from labelemb.report.aggregate import Convergence, collect
from labelemb.report.statistics import PairedDifference, paired_difference, summarise
from tests.report.conftest import WriteRun, write


def test_mean_and_sample_deviation() -> None:
    summary = summarise([1.0, 2.0, 4.0])
    assert summary is not None
    assert summary.mean == pytest.approx(7 / 3)
    assert summary.sd == pytest.approx(math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))


def test_one_value_has_no_deviation_and_none_has_no_summary() -> None:
    assert summarise([3.0]).sd is None  # type: ignore[union-attr]
    assert summarise([]) is None


def test_interval_by_hand() -> None:
    # Differences 0.2, 0.4, 0.6: mean 0.4, sd 0.2; t(0.975, 2) = 4.302653.
    paired = paired_difference({0: 2.0, 1: 2.0, 2: 2.0, 7: 9.0}, {0: 1.8, 1: 1.6, 2: 1.4, 8: 0.0})
    half = 4.302653 * 0.2 / math.sqrt(3)
    assert paired is not None
    assert (paired.mean, paired.n) == (pytest.approx(0.4), 3)
    assert paired.low == pytest.approx(0.4 - half, abs=1e-6)
    assert paired.high == pytest.approx(0.4 + half, abs=1e-6)


def test_equal_differences_give_an_interval_of_no_width() -> None:
    assert paired_difference({0: 2.0, 1: 3.0}, {0: 1.0, 1: 2.0}) == PairedDifference(1.0, 1.0, 1.0, 2)


def test_no_shared_seed_is_no_pair() -> None:
    assert paired_difference({0: 2.0}, {1: 2.0}) is None


def test_last_and_chosen_are_never_the_best_test_error(write_run: WriteRun, runs: Path) -> None:
    write_run("baseline", 0, test=[1.0, 3.0, 2.0, 4.0], valid=[9.0, 5.0, 5.0, 6.0])
    (task,), _ = collect([runs])
    (run,) = task.groups["baseline"].runs
    assert run.figure("last") == 4.0
    assert run.figure("chosen") == 3.0  # the first of the two epochs with the lowest validation error


def test_chosen_is_absent_without_validation(write_run: WriteRun, runs: Path) -> None:
    write_run("baseline", 0, test=[2.0, 1.0])
    (task,), _ = collect([runs])
    assert task.groups["baseline"].summary("chosen") is None
    assert task.groups["baseline"].summary("last") is not None


def test_reductions(write_run: WriteRun, runs: Path) -> None:
    for seed, (one_hot, soft) in enumerate([(2.0, 1.5), (2.2, 1.5), (1.8, 1.2)]):
        write_run("baseline", seed, test=[one_hot])
        write_run("emb", seed, test=[soft])
    (task,), _ = collect([runs])
    comparison = task.compare("emb", "last")
    assert comparison is not None
    assert comparison.absolute == pytest.approx(0.6)
    assert comparison.relative == pytest.approx(0.3)
    assert comparison.paired is not None
    assert comparison.paired.n == 3
    assert task.compare("baseline", "last") is None


def test_convergence_is_the_median_of_the_first_epochs(write_run: WriteRun, runs: Path) -> None:
    write_run("baseline", 0, test=[3.0, 2.0, 2.0])
    for seed, errors in enumerate([[3.0, 1.9, 2.5], [2.5, 2.4, 2.0], [3.0, 3.0, 3.0]]):
        write_run("emb", seed, test=errors)
        write_run("reuse", seed, test=[3.0, 3.0, 2.1])
    (task,), _ = collect([runs])
    assert task.convergence("emb") == Convergence(epoch=3.0, error=2.0, epochs=3, n=3)  # of 2, 3 and never
    assert task.convergence("reuse") == Convergence(epoch=math.inf, error=2.0, epochs=3, n=3)
    assert task.convergence("baseline") is None


def test_unfinished_runs_enter_no_figure(write_run: WriteRun, runs: Path) -> None:
    write_run("emb", 0, test=[2.0])
    write_run("emb", 1, test=[50.0], finished=False)
    (task,), _ = collect([runs])
    group = task.groups["emb"]
    assert group.by_seed("last") == {0: 2.0}
    assert [run.seed for run in group.unfinished] == [1]


def test_seconds_are_the_median_over_all_epochs(write_run: WriteRun, runs: Path) -> None:
    write_run("emb", 0, test=[2.0, 2.0], seconds=1.0)
    write_run("emb", 1, test=[2.0], seconds=4.0)
    (task,), _ = collect([runs])
    assert task.groups["emb"].seconds == 1.0


def test_evaluations_within_an_epoch(write_run: WriteRun, runs: Path) -> None:
    run = write_run("emb", 0, test=[4.0])
    halves = [{"epoch": 1 + i // 2, "step": 5 * (i + 1), "test_error": 4.0 - i, "seconds": 1.0} for i in range(4)]
    run.write_history(halves)
    (task,), _ = collect([runs])
    (read,) = task.groups["emb"].runs
    assert read.curve("test_error") == [(0.5, 4.0), (1.0, 3.0), (1.5, 2.0), (2.0, 1.0)]
    assert read.seconds_per_epoch() == [2.0, 2.0]


def test_a_seed_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", "emb", 0, test=[2.0], finished=False)
    write(tmp_path / "b", "emb", 0, test=[3.0])
    (task,), warnings = collect([tmp_path / "a", tmp_path / "b"])
    assert task.groups["emb"].by_seed("last") == {0: 3.0}
    assert len(warnings) == 1
    assert "there twice" in warnings[0]


def test_modes_in_order_and_tasks_apart(write_run: WriteRun, runs: Path) -> None:
    for mode in ("zebra", "reuse", "emb", "baseline"):
        write_run(mode, 0, test=[1.0])
    write_run("emb", 0, test=[1.0], task="digits")
    tasks, _ = collect([runs])
    assert {task.name: list(task.groups) for task in tasks} == {
        "digits": ["emb"],
        "mnist-mlp": ["baseline", "emb", "reuse", "zebra"],
    }


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder with runs"):
        collect([tmp_path])
