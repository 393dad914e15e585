import math
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import DataError
from labelemb.report.charts.style import Palette
from labelemb.report.checks import comparability_warnings
from labelemb.report.experiment import Convergence, load_experiments
from labelemb.report.panels import curve_panels
from labelemb.stats.paired import PairedDifference, paired_difference, summarize
from tests.report.conftest import WriteRun, write


def test_mean_and_sample_deviation() -> None:
    summary = summarize([1.0, 2.0, 4.0])
    assert summary is not None
    assert summary.mean == pytest.approx(7 / 3)
    assert summary.sd == pytest.approx(math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))


def test_one_value_has_no_deviation_and_none_has_no_summary() -> None:
    assert summarize([3.0]).sd is None  # type: ignore[union-attr]
    assert summarize([]) is None


def test_interval_by_hand() -> None:
    # Differences 0.2, 0.4, 0.6: mean 0.4, sd 0.2; t(0.975, 2) = 4.302653.
    paired = paired_difference({0: 2.0, 1: 2.0, 2: 2.0, 7: 9.0}, {0: 1.8, 1: 1.6, 2: 1.4, 8: 0.0})
    half = 4.302653 * 0.2 / math.sqrt(3)
    assert paired is not None
    assert (paired.mean, paired.n) == (pytest.approx(0.4), 3)
    assert paired.low == pytest.approx(0.4 - half, abs=1e-6)
    assert paired.high == pytest.approx(0.4 + half, abs=1e-6)


def test_a_handful_of_equal_differences_gives_no_interval() -> None:
    assert paired_difference({0: 2.0, 1: 3.0}, {0: 1.0, 1: 2.0}) == PairedDifference(1.0, None, None, 2, sd=0.0)
    six = paired_difference(dict.fromkeys(range(6), 2.0), dict.fromkeys(range(6), 1.0))
    assert six == PairedDifference(1.0, 1.0, 1.0, 6, 2 / 2**6, 0.0)


def test_modes_that_are_alike_are_seldom_said_to_differ() -> None:
    """Of ten methods with three seeds one is outside its own interval in two of five reports; none makes a claim."""
    random = np.random.default_rng(0)
    outside = 0
    for _ in range(200):
        values = random.normal(5, 0.3, (10, 3))
        pairs = [paired_difference(dict(enumerate(values[0])), dict(enumerate(other))) for other in values[1:]]
        outside += any(pair.low > 0 or pair.high < 0 for pair in pairs if pair and pair.low is not None)
        assert all(pair is not None and pair.p is None for pair in pairs)
    assert outside > 40, "the interval alone would claim"


def test_no_shared_seed_is_no_pair() -> None:
    assert paired_difference({0: 2.0}, {1: 2.0}) is None


def test_last_and_chosen_are_never_the_best_test_error(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[1.0, 3.0, 2.0, 4.0], valid=[9.0, 5.0, 5.0, 6.0])
    (task,), _ = load_experiments([runs])
    (run,) = task.groups["cross_entropy"].runs
    assert run.test_error("last") == 4.0
    assert run.test_error("chosen") == 3.0  # the first of the two epochs with the lowest validation error


def test_chosen_is_absent_without_validation(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0, 1.0])
    (task,), _ = load_experiments([runs])
    assert task.groups["cross_entropy"].summary("chosen") is None
    assert task.groups["cross_entropy"].summary("last") is not None


def test_reductions(write_run: WriteRun, runs: Path) -> None:
    for seed, (one_hot, soft) in enumerate([(2.0, 1.5), (2.2, 1.5), (1.8, 1.2)]):
        write_run("cross_entropy", seed, test=[one_hot])
        write_run("label_embedding", seed, test=[soft])
    (task,), _ = load_experiments([runs])
    comparison = task.error_reduction("label_embedding", "last")
    assert comparison is not None
    assert comparison.absolute == pytest.approx(0.6)
    assert comparison.relative == pytest.approx(0.3)
    assert comparison.paired is not None
    assert comparison.paired.n == 3
    assert task.error_reduction("cross_entropy", "last") is None


def test_convergence_is_the_median_of_the_first_epochs(write_run: WriteRun, runs: Path) -> None:
    write_run("cross_entropy", 0, test=[3.0, 2.0, 2.0])
    for seed, errors in enumerate([[3.0, 1.9, 2.5], [2.5, 2.4, 2.0], [3.0, 3.0, 3.0]]):
        write_run("label_embedding", seed, test=errors)
        write_run("frozen_embedding", seed, test=[3.0, 3.0, 2.1])
    (task,), _ = load_experiments([runs])
    assert task.convergence("label_embedding") == Convergence(
        epoch=3.0, error=2.0, epochs=3, n=3, interval=1.0
    )  # of 2, 3 and never
    assert task.convergence("frozen_embedding") == Convergence(epoch=math.inf, error=2.0, epochs=3, n=3, interval=1.0)
    assert task.convergence("cross_entropy") is None


def test_a_test_error_at_the_end_alone_is_no_curve(write_run: WriteRun, runs: Path) -> None:
    for method in ("cross_entropy", "label_embedding"):
        run = write_run(method, 0, test=[3.0, 2.0], valid=[3.0, 2.0])
        first, last = run.history()
        run.write_history([{key: value for key, value in first.items() if key != "test_error"}, last])
    (task,), _ = load_experiments([runs])
    assert task.convergence("label_embedding") is None
    errors = curve_panels(task, Palette(list(task.groups)))[0]
    assert [choice.name for choice in errors.choices] == ["validation error, %", "training error, %"]


def test_unfinished_runs_enter_no_figure(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[2.0])
    write_run("label_embedding", 1, test=[50.0], finished=False)
    (task,), _ = load_experiments([runs])
    group = task.groups["label_embedding"]
    assert group.test_errors("last") == {0: 2.0}
    assert [run.seed for run in group.unfinished] == [1]


def test_seconds_are_the_median_over_all_epochs(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[2.0, 2.0], seconds=1.0)
    write_run("label_embedding", 1, test=[2.0], seconds=4.0)
    (task,), _ = load_experiments([runs])
    assert task.groups["label_embedding"].seconds == 1.0


def test_evaluations_within_an_epoch(write_run: WriteRun, runs: Path) -> None:
    run = write_run("label_embedding", 0, test=[4.0])
    halves = [{"epoch": 1 + i // 2, "step": 5 * (i + 1), "test_error": 4.0 - i, "seconds": 1.0} for i in range(4)]
    run.write_history(halves)
    (task,), _ = load_experiments([runs])
    (read,) = task.groups["label_embedding"].runs
    assert read.curve("test_error") == [(0.5, 4.0), (1.0, 3.0), (1.5, 2.0), (2.0, 1.0)]
    assert read.seconds_per_epoch() == [2.0] * 4


def test_seconds_per_epoch_of_evaluations_that_lie_anyhow(write_run: WriteRun, runs: Path) -> None:
    """A hundred steps an epoch, evaluated every 150, a second for a hundred steps."""
    run = write_run("label_embedding", 0, test=[4.0])
    lines = [
        {"epoch": -(-step // 100), "step": step, "seconds": 1.5, "test_error": 1.0} for step in (150, 300, 450, 600)
    ]
    run.write_history(lines)
    (task,), _ = load_experiments([runs])
    assert task.groups["label_embedding"].seconds == pytest.approx(1.0)


def test_runs_of_the_published_scripts_have_their_task_and_mode(tmp_path: Path) -> None:
    for log, method in (("cross_entropy", "cross_entropy"), ("label_embedding", "label_embedding")):
        run = write(tmp_path, method, 7, test=[2.0])
        place = tmp_path / "data" / "iwslt15" / log
        place.parent.mkdir(parents=True, exist_ok=True)
        run.path.rename(place)
    (task,), warnings = load_experiments([tmp_path / "data"])
    assert (task.name, list(task.groups), warnings) == ("iwslt15", ["cross_entropy", "label_embedding"], [])


def test_figures_that_are_not_finite_are_left_out_and_told(write_run: WriteRun, runs: Path) -> None:
    run = write_run("label_embedding", 3, test=[4.0, 3.0])
    lines = [line | {"test_nll": nll} for line, nll in zip(run.history(), (0.5, float("nan")), strict=True)]
    run.write_history(lines)
    (task,), _ = load_experiments([runs])
    (read,) = task.groups["label_embedding"].runs
    assert (read.curve("test_nll"), task.groups["label_embedding"].last("test_nll")) == ([(1.0, 0.5)], {})
    assert any(
        "test_nll of seed 3 is not finite after the last epoch; left out" in w for w in comparability_warnings(task)
    )


def test_a_seed_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", "label_embedding", 0, test=[2.0], finished=False)
    write(tmp_path / "b", "label_embedding", 0, test=[3.0])
    (task,), warnings = load_experiments([tmp_path / "a", tmp_path / "b"])
    assert task.groups["label_embedding"].test_errors("last") == {0: 3.0}
    assert len(warnings) == 1
    assert "found twice" in warnings[0]


def test_modes_in_order_and_tasks_apart(write_run: WriteRun, runs: Path) -> None:
    for method in ("zebra", "frozen_embedding", "label_embedding", "cross_entropy"):
        write_run(method, 0, test=[1.0])
    write_run("label_embedding", 0, test=[1.0], task="digits")
    tasks, _ = load_experiments([runs])
    assert {task.name: list(task.groups) for task in tasks} == {
        "digits": ["label_embedding"],
        "mnist-mlp": ["cross_entropy", "label_embedding", "frozen_embedding", "zebra"],
    }


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder with runs"):
        load_experiments([tmp_path])
