"""Training loop: reproducible, and equal when resumed, split into micro-batches or distributed."""

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labelemb import DenseLabelEmbedding, files
from labelemb.cli.main import main
from labelemb.errors import ConfigError, DataError
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.recipe import load_data, train
from labelemb.tasks.vision.task import VisionTask
from labelemb.tasks.vision.trained import TrainedModel
from labelemb.training.checkpoint import load_checkpoint
from labelemb.training.optimizers import OptimizerSettings, build_optimizer, learning_rate_at
from labelemb.training.seeding import drawing_from, generator, stream_seed
from labelemb.training.task import Shard
from tests.processes import launched, run_alone, run_in_processes, spawn, torch_threads

CONFIG = VisionConfig(epochs=4, batch_size=100, width=64, learning_rate=0.005, channels_last=False, device="cpu")
OVERRIDES = ["--epochs", "4", "--batch_size", "100", "--width", "64", "--learning_rate", "0.005", "--device", "cpu"]
TIMINGS = {"seconds", "images_per_second"}


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in run.history()]


def assert_same(a: RunFolder, b: RunFolder) -> None:
    """Check that two runs are bit-identical except for timings."""
    assert metrics(a) == metrics(b)
    for file in ("last_checkpoint", "best_checkpoint"):
        one, other = (load_checkpoint(getattr(run, file)) for run in (a, b))
        for module in ("model", "loss"):
            assert one[module].keys() == other[module].keys()
            assert all(torch.equal(one[module][name], other[module][name]) for name in one[module])
    labels = [
        DenseLabelEmbedding.load(run.labels_file) for run in (a, b)
    ]  # the order of a file's metadata is not fixed
    assert torch.equal(labels[0].weight, labels[1].weight)
    assert labels[0].label_names == labels[1].label_names


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An uninterrupted run on one thread."""
    run = RunFolder.of(tmp_path_factory.mktemp("whole"), "digits", "label_embedding", 0)
    with torch_threads(1):
        train(CONFIG, run)
    return run


def test_run_folder_is_complete(whole: RunFolder) -> None:
    assert whole.finished
    assert [line["epoch"] for line in whole.history()] == [1, 2, 3, 4]
    line = whole.history()[-1]
    assert {"terms", "train_error", "valid_error", "test_error", "seconds", "images_per_second"} <= set(line)
    assert set(line["terms"]) == {"hard", "soft", "aux", "embedding", "cap"}
    assert whole.config()["tau"] == 2.0
    best = min(whole.history(), key=lambda line: line["valid_error"])
    assert load_checkpoint(whole.best_checkpoint)["line"] == best


def test_training_reduces_the_error(whole: RunFolder) -> None:
    first, last = whole.history()[0], whole.history()[-1]
    assert last["valid_error"] < 20 < first["train_error"]


def test_runs_depend_on_the_seed_only(whole: RunFolder, tmp_path: Path) -> None:
    torch.manual_seed(123)  # the state of the global generator must not matter
    again, other = RunFolder(tmp_path / "again"), RunFolder(tmp_path / "other")
    with torch_threads(1):
        train(CONFIG, again)
        train(replace(CONFIG, seed=1, epochs=1), other)
    assert_same(whole, again)
    assert other.history()[0]["terms"] != whole.history()[0]["terms"]


def die_at(deaths: int, moment: str, command: list[str]) -> int:
    """Call the command line; die at the n-th time that a file is put in place, just before or just after."""
    left, place = deaths, os.replace

    def dying(source: str, target: str) -> None:
        nonlocal left
        left -= 1
        if left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        place(source, target)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying  # type: ignore[assignment]
    return main(command)


def test_killed_run_resumes_to_the_same_result(whole: RunFolder, tmp_path: Path) -> None:
    command = ["train", "digits", *OVERRIDES, "--out", str(tmp_path)]
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    for deaths, moment in ((1, "after"), (5, "before"), (11, "after"), (12, "before"), (2, "after")):
        assert run_alone(die_at, deaths, moment, command) == -signal.SIGKILL
        assert not run.finished
    assert 1 < len(run.history()) < 4, "there is something to go on from, and something to do"
    assert run_alone(main, command) == 0
    assert_same(whole, run)


def test_run_resumes_after_a_crash_at_any_file_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crash at the lock, at each file of an epoch and at the end; the resumed run gives the same result.

    Just before a file is put in place: that is also just after the file before it.
    """
    config, place = replace(CONFIG, epochs=2), os.replace

    class Dead(BaseException):
        pass

    def until(deaths: int) -> Callable[[str, str], None]:
        left = deaths

        def dying(source: str, target: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Dead
            place(source, target)

        return dying

    whole = RunFolder(tmp_path / "whole")
    train(config, whole)
    for deaths in itertools.count(1):
        run = RunFolder(tmp_path / str(deaths))
        monkeypatch.setattr("os.replace", until(deaths))
        try:
            train(config, run)
        except Dead:
            monkeypatch.undo()
            train(config, run)
            assert_same(whole, run)
        else:
            break
    monkeypatch.undo()
    assert deaths > 12, "the claim is two files, an epoch four and more, the end is one"


def test_finished_run_is_left_unchanged(whole: RunFolder) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.path.iterdir()}
    train(CONFIG, whole)
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.path.iterdir()}
    assert {name: b for name, b in after.items() if name != ".lock"} == {
        n: b for n, b in before.items() if n != ".lock"
    }


def test_folder_with_another_config_is_refused(whole: RunFolder) -> None:
    with pytest.raises(ConfigError, match="tau 2.0 there, 1.0 here"):
        train(replace(CONFIG, tau=1.0), whole)


def test_two_methods_share_initial_weights_and_batches() -> None:
    data = load_data("digits", None)
    tasks = [VisionTask(replace(CONFIG, method=method), data) for method in ("cross_entropy", "label_embedding")]
    for one, other in zip(*(task.model.parameters() for task in tasks), strict=True):
        assert torch.equal(one, other)
    batches = []
    for task in tasks:
        task.setup(torch.device("cpu"))
        batches.append([piece.targets for pieces in task.batches(1, 0, Shard()) for piece in pieces])
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))


def test_micro_batches_equal_the_whole_batch(tmp_path: Path) -> None:
    """With reduction "token", num_items_in_batch is known in advance, so micro-batches add up exactly."""
    config = replace(CONFIG, epochs=1, reduction="token", mix="sum")
    runs = [RunFolder(tmp_path / str(pieces)) for pieces in (1, 3)]
    train(config, runs[0])
    train(replace(config, gradient_accumulation_steps=3), runs[1])
    one, other = (load_checkpoint(run.last_checkpoint) for run in runs)
    for module in ("model", "loss"):
        for name, tensor in one[module].items():
            torch.testing.assert_close(other[module][name], tensor, rtol=1e-3, atol=1e-4)
    assert runs[1].history()[0]["terms"] == pytest.approx(runs[0].history()[0]["terms"], rel=1e-4)


def test_two_processes_equal_one(tmp_path: Path, whole: RunFolder) -> None:
    run_in_processes(2, tmp_path, launched, "train", "digits", *OVERRIDES, "--out", str(tmp_path / "runs"))
    run = RunFolder.of(tmp_path / "runs", "digits", "label_embedding", 0)
    for got, want in zip(run.history(), whole.history(), strict=True):
        assert got["terms"] == pytest.approx(want["terms"], rel=2e-3)
        assert got["valid_error"] == pytest.approx(want["valid_error"], abs=1.2)


def test_two_processes_evaluate_the_saved_batch_statistics(tmp_path: Path) -> None:
    """Batch statistics differ between processes after the last step; those of the first process are saved."""
    options = ["--model", "resnet8", "--width", "2", "--epochs", "1", "--batch_size", "250", "--learning_rate", "0.01"]
    run_in_processes(
        2, tmp_path, launched, "train", "digits", *options, "--device", "cpu", "--out", str(tmp_path / "runs")
    )
    run = RunFolder.of(tmp_path / "runs", "digits", "label_embedding", 0)
    model = TrainedModel(run)
    found, line = model.evaluate(model.test_images()), run.history()[-1]
    assert (found.error, found.nll) == (pytest.approx(line["test_error"]), pytest.approx(line["test_nll"], rel=1e-5))


def test_random_streams_are_independent_and_reproducible() -> None:
    assert len({stream_seed(seed, name, i) for seed in (0, 1) for name in ("order", "model") for i in (0, 1)}) == 8
    assert torch.equal(*(torch.rand(3, generator=generator(0, "order", 5)) for _ in range(2)))
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    with drawing_from(0, "model"):
        torch.rand(7)
    assert torch.equal(torch.rand(1), want), "the block leaves the global generator as it was"


def test_checkpoint_with_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    torch.save({"model": Hostile()}, tmp_path / "last.pt")
    with pytest.raises(DataError, match="expected a checkpoint of this program"):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "executed").exists()
    (tmp_path / "last.pt").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="expected a checkpoint"):
        load_checkpoint(tmp_path / "last.pt")


def test_learning_rate_schedules() -> None:
    def rates(**settings: Any) -> list[float]:
        return [
            learning_rate_at(step, 100, 10, OptimizerSettings(learning_rate=1.0, **settings)) for step in (0, 30, 99)
        ]

    assert rates() == [1, 1, 1]
    assert rates(schedule="step", decay_factor=0.2, decay_every=2) == pytest.approx([1, 0.2, 0.2**4])
    assert rates(schedule="cosine") == pytest.approx([1, 0.7939, 0.00025], abs=1e-4)
    assert rates(schedule="one-cycle") == pytest.approx([0.04, 1, 0.0005], abs=1e-4)


def test_gradient_clipping_covers_model_and_loss(tmp_path: Path) -> None:
    """One SGD step with learning rate 1 changes all parameters by exactly the maximum norm."""
    config = replace(
        CONFIG, epochs=1, batch_size=1259, optimizer="sgd", momentum=0.0, learning_rate=1.0, max_grad_norm=0.01
    )
    start, run = VisionTask(config, load_data("digits", None)), RunFolder(tmp_path)
    before = {"model": start.model.state_dict(), "loss": start.loss.state_dict()}
    train(config, run)
    assert run.history()[0]["step"] == 1
    after = load_checkpoint(run.last_checkpoint)
    moved = {
        module: sum(
            float((after[module][name] - value).double().pow(2).sum())
            for name, value in values.items()
            if value.is_floating_point()
        )
        for module, values in before.items()
    }
    assert sum(moved.values()) ** 0.5 == pytest.approx(0.01, rel=1e-3)
    assert min(moved.values()) > 0


def test_embedding_has_no_weight_decay() -> None:
    task = VisionTask(CONFIG, load_data("digits", None))
    optimizer = build_optimizer(task.model, task.loss, OptimizerSettings(weight_decay=0.1))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert any(parameter is task.loss.embedding.weight for parameter in optimizer.param_groups[1]["params"])


def test_multiple_runs_continue_after_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "train",
        "digits",
        *OVERRIDES,
        "--method",
        "cross_entropy,label_embedding",
        "--seeds",
        "2",
        "--jobs",
        "2",
        "--out",
        str(tmp_path),
    ]
    broken = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    broken.path.mkdir(parents=True)
    broken.last_checkpoint.write_bytes(b"rubbish")
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "digits/label_embedding/seed-0  FAILED" in said
    assert "1 of 4 runs failed" in said
    assert [
        RunFolder.of(tmp_path, "digits", method, 1).finished for method in ("cross_entropy", "label_embedding")
    ] == [True, True]
    broken.last_checkpoint.unlink()
    assert main(command) == 0
    assert broken.finished


@pytest.mark.parametrize("device", ["cpu"] if torch.accelerator.is_available() else ["auto"])
def test_multiple_runs_in_one_launch(device: str, tmp_path: Path) -> None:
    """Without an accelerator also on device "auto"; with one, its processes would need an accelerator each."""
    options = ["--method", "cross_entropy,label_embedding", "--epochs", "1", "--width", "8", "--device", device]
    output = spawn(2, "-m", "labelemb", "train", "digits", *options, "--out", str(tmp_path))
    assert all(RunFolder.of(tmp_path, "digits", method, 0).finished for method in ("cross_entropy", "label_embedding"))
    assert output.count("cross_entropy/seed-0") == 1, "only one process prints"


def test_partial_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    left = tmp_path / f".last.pt.{files._HOST}.{'0' * 16}.partial"
    left.write_bytes(b"half")
    train(replace(CONFIG, epochs=1), run)
    assert not left.exists()
