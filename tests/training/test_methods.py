"""Methods in the training loop: hooks, resumable state, equal initial weights, invalid options."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelemb import DenseLabelEmbedding
from labelemb.cli.main import main
from labelemb.errors import ConfigError, DataError
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.method import Method
from labelemb.methods import METHODS
from labelemb.runs import Line, RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.recipe import load_data
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.checkpoint import load_checkpoint
from labelemb.training.device import make_accelerator
from labelemb.training.loop import fit
from labelemb.training.settings import FitSettings
from labelemb.training.task import Shard
from tests.processes import launched, run_in_processes, torch_threads

CONFIG = VisionConfig(epochs=3, batch_size=300, width=16, learning_rate=0.005, channels_last=False, device="cpu")
STATEFUL = ("ols", "ps_kd", "label_confusion")
FADED = {"soft_decay": 1.0, "beta": 0.0}
TIMINGS = {"seconds", "images_per_second"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    with torch_threads(1):
        yield


def config_of(method: str, folder: Path) -> VisionConfig:
    """Return CONFIG with a method and the file that it requires, if any."""
    file = folder / "e.safetensors"
    if not file.exists():
        DenseLabelEmbedding(10).save(file, list("0123456789"))
        np.save(folder / "m.npy", np.full((10, 10), 0.1))
    files = {"embedding": str(file), "label_matrix": str(folder / "m.npy")}
    return replace(CONFIG, method=method, **{key: files[key] for key in METHODS[method].required})


def fit_some(config: VisionConfig, run: RunFolder, eval_interval: int | None = None) -> VisionTask:
    task = VisionTask(config, load_data("digits", None))
    settings = FitSettings(config.epochs, config.seed, config.optimizer_settings, eval_interval)
    fit(task, settings, run, make_accelerator("fp32", "cpu", "none", run.path))
    return task


def metrics(run: RunFolder) -> list[Line]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in run.history()]


@pytest.mark.parametrize("method", ["cross_entropy", "label_embedding"])
def test_chunked_run_equals_eager_run(method: str, tmp_path: Path) -> None:
    eager, chunked = (RunFolder(tmp_path / impl) for impl in ("eager", "chunked"))
    fit_some(replace(CONFIG, method=method, impl="eager"), eager)
    fit_some(replace(CONFIG, method=method, impl="chunked"), chunked)
    for one, other in zip(metrics(eager), metrics(chunked), strict=True):
        numbers = {key for key, value in one.items() if isinstance(value, float)}
        assert one.keys() == other.keys()
        assert len(numbers) > 3
        for key in numbers:
            assert other[key] == pytest.approx(one[key], rel=1e-3, abs=0.15 if "err" in key else 1e-4), key


@pytest.mark.parametrize("eval_interval", [None, 2, 7])
def test_epoch_end_is_called_once_per_epoch(
    eval_interval: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 steps per epoch, so evaluations every 2 or 7 steps rarely coincide with its end."""
    calls: list[str] = []
    for hook in ("step", "epoch_end", "sync"):
        monkeypatch.setattr("labelemb.losses.base.Loss." + hook, lambda self, hook=hook: calls.append(hook))
    fit_some(replace(CONFIG, method="cross_entropy"), RunFolder(tmp_path), eval_interval)
    epochs = " ".join(call for call in calls if call != "sync")
    assert epochs == " ".join(["step step step step step epoch_end"] * 3)
    assert calls.count("sync") == -(-15 // (eval_interval or 5))
    assert calls[-2:] == ["epoch_end", "sync"]


@pytest.mark.parametrize(
    ("method", "choices"),
    [*((method, {}) for method in STATEFUL), *((method, FADED) for method in ("label_embedding", "matched_smoothing"))],
)
def test_resume_within_an_epoch_equals_uninterrupted_run(
    method: str, choices: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config_of(method, tmp_path), **choices)
    runs = [RunFolder(tmp_path / name) for name in ("whole", "killed")]
    fit_some(config, runs[0], 2)
    for survived in (1, 2):  # so the checkpoints are those of steps 4 and 8; an epoch has 5
        left = [survived]

        def write_history(self: RunFolder, lines: list[Line], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "write_history", write_history)
            with pytest.raises(KeyboardInterrupt):
                fit_some(config, runs[1], 2)
    fit_some(config, runs[1], 2)
    assert metrics(runs[0]) == metrics(runs[1])
    states = [load_checkpoint(run.last_checkpoint)["loss"] for run in runs]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("method", ["label_embedding", "matched_smoothing", "shuffled_embedding"])
def test_soft_decay_spans_the_whole_run(method: str, tmp_path: Path) -> None:
    """15 steps, evaluated after each: the fraction of the weight moved to the hard term grows from 0 to 14 / 15."""
    task = fit_some(replace(CONFIG, method=method, **FADED), RunFolder(tmp_path / "run"), 1)
    lines = RunFolder(tmp_path / "run").history()
    assert [line["terms"]["hard"] == 0 for line in lines] == [True] + 14 * [False]
    assert all(line["terms"]["soft"] > 0 for line in lines)
    assert task.loss.objective.soft_end == 15  # type: ignore[union-attr]
    still = VisionTask(replace(CONFIG, method=method), load_data("digits", None))
    assert still.loss.objective.soft_end is None  # type: ignore[union-attr]


def test_soft_decay_is_refused_where_unsupported(tmp_path: Path) -> None:
    file = config_of("frozen_embedding", tmp_path).embedding
    with pytest.raises(ConfigError, match="soft_decay: expected 0 with an embedding from a file, got 1.0"):
        VisionTask(
            replace(CONFIG, method="matched_smoothing", embedding=file, soft_decay=1.0), load_data("digits", None)
        )
    with pytest.raises(ConfigError, match="mix: expected convex, for soft_decay, got sum"):
        replace(CONFIG, soft_decay=0.5, mix="sum")
    assert replace(CONFIG, method="label_smoothing", soft_decay=0.5).resolved().soft_decay == 0


def test_two_processes_equal_one(tmp_path: Path) -> None:
    options = ["--method", ",".join(STATEFUL), "--epochs", "2", "--batch_size", "300", "--width", "16"]
    command = ["train", "digits", *options, "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / "one")]) == 0
    run_in_processes(2, tmp_path, launched, *command, str(tmp_path / "two"))
    for method in STATEFUL:
        one, two = (RunFolder.of(tmp_path / name, "digits", method, 0) for name in ("one", "two"))
        for got, want in zip(two.history(), one.history(), strict=True):
            assert got["terms"] == pytest.approx(want["terms"], rel=2e-3)
        states = [load_checkpoint(run.last_checkpoint)["loss"] for run in (one, two)]
        for name, value in states[0].items():
            torch.testing.assert_close(states[1][name], value, rtol=0.02, atol=2e-3)


def test_all_methods_share_initial_weights_and_batches(tmp_path: Path) -> None:
    data, first = load_data("digits", None), None
    for method in METHODS:
        task = VisionTask(replace(config_of(method, tmp_path), augment="crop-flip"), data)
        task.setup(torch.device("cpu"))
        pieces = [piece for pieces in task.batches(1, 3, Shard()) for piece in pieces]
        seen = [*task.model.state_dict().values()]
        seen += [tensor for piece in pieces for tensor in (piece.images, piece.targets, piece.index)]
        first = first or seen
        assert all(torch.equal(one, other) for one, other in zip(first, seen, strict=True)), method


def test_index_identifies_the_image() -> None:
    data = load_data("digits", None)
    task = VisionTask(CONFIG, data)
    task.setup(torch.device("cpu"))
    pieces = [piece for pieces in task.batches(0, 0, Shard()) for piece in pieces]
    assert sorted(torch.cat([piece.index for piece in pieces]).tolist()) == list(range(len(data.train)))
    assert all(torch.equal(data.train.labels[piece.index], piece.targets) for piece in pieces)


def test_config_has_the_options_of_its_method_only(tmp_path: Path) -> None:
    """Options of other methods in a comparison do not change the config of a run."""
    keys = {key for method in METHODS.values() for key in method.keys}
    files = {"embedding": "e.safetensors", "label_matrix": "m.csv"}
    changed = {key: files.get(key) or 0.5 * getattr(CONFIG, key) or 0.5 for key in keys}
    assert all(changed[key] != getattr(CONFIG, key) for key in keys)
    for method in METHODS.values():
        learning = {"soft_decay": 0.0, "embedding_rows": 1.0}  # not with an embedding from a file
        got = replace(CONFIG, method=method.name, **changed | learning).resolved()
        for key in keys - learning.keys():
            assert getattr(got, key) == (changed if key in method.keys else vars(CONFIG))[key], (method.name, key)
    assert replace(CONFIG, soft_decay=0.5, embedding_rows=0.5).resolved().embedding_rows == 0.5
    assert replace(CONFIG, soft_decay=0.5).resolved().soft_decay == 0.5
    assert replace(CONFIG, method="ols", soft_decay=0.5).resolved().soft_decay == 0


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_declared_capabilities_match_the_loss(method: Method, tmp_path: Path) -> None:
    task = fit_some(replace(config_of(method.name, tmp_path), epochs=1), RunFolder(tmp_path / "run"))
    fresh = VisionTask(config_of(method.name, tmp_path), load_data("digits", None)).loss.state_dict()
    trained = task.loss.state_dict()
    assert method.has_state == any(not torch.equal(value, trained[name]) for name, value in fresh.items())
    assert method.learns_embedding == isinstance(task.loss, LabelEmbeddingLoss)
    assert task.loss.supports_mixed_targets == (method.mixed_targets == "always")
    hidden, targets = torch.randn(4, 16), torch.tensor([0, 1, 2, 3])
    if method.needs_index:
        with pytest.raises(DataError, match="index"):
            task.loss(hidden, task.model.head, targets)
    else:
        assert task.loss(hidden, task.model.head, targets).loss.isfinite()


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_unsupported_implementations_are_refused(method: Method, tmp_path: Path) -> None:
    config = replace(config_of(method.name, tmp_path), impl="chunked")
    if method.chunked:
        VisionTask(config, load_data("digits", None))
        return
    with pytest.raises(ConfigError, match=f"impl: expected eager or auto for method {method.name}"):
        VisionTask(config, load_data("digits", None))


def test_controls_with_frozen_and_running_soft_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    learned = DenseLabelEmbedding(10)
    with torch.no_grad():
        learned.weight.copy_(torch.randn(10, 10))
    learned.save(tmp_path / "e.safetensors", list("9876543210"))
    command = [
        "train",
        "digits",
        "--method",
        "matched_smoothing,shuffled_embedding",
        "--epochs",
        "1",
        "--width",
        "8",
        "--device",
        "cpu",
    ]
    assert main([*command, "--out", str(tmp_path / "running")]) == 0
    assert main([*command, "--embedding", str(tmp_path / "e.safetensors"), "--out", str(tmp_path / "frozen")]) == 0
    for method in ("matched_smoothing", "shuffled_embedding"):
        running, frozen = (RunFolder.of(tmp_path / name, "digits", method, 0) for name in ("running", "frozen"))
        assert set(running.history()[0]["terms"]) == {"hard", "soft", "aux", "embedding", "cap"}
        assert running.labels_file.is_file()
        assert set(frozen.history()[0]["terms"]) == {"hard", "soft"}
        assert "embedding_digest" in frozen.signature()
        assert "embedding_digest" not in running.signature()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--method", "label_smoothing,nonsense"],
            "method: expected one of cross_entropy, label_embedding, .* got 'nonsense'",
        ),
        (["--method", "label_smoothing", "--smoothing", "2"], "smoothing: expected a number from 0 to 1, got 2"),
        (["--method", "ols", "--impl", "chunked"], "impl: expected eager or auto for method ols, got 'chunked'"),
        (["--method", "matched_smoothing", "--impl", "fused"], "impl: expected eager or auto"),
    ],
)
def test_invalid_arguments_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", *options, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
