"""What image and text classification share: imbalanced labels and early stopping."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from labelemb.errors import ConfigError
from labelemb.runs import RunFolder
from labelemb.tasks.classification.imbalance import balanced_rows, balanced_weights
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import DataOptions, load
from labelemb.tasks.text.recipe import train
from labelemb.tasks.text.task import TextTask
from labelemb.training.optimizers import OptimizerSettings
from labelemb.training.settings import CheckpointCriterion, FitSettings
from labelemb.training.task import Shard
from tests.tasks.text.conftest import sentences, write_csv

LABELS = torch.tensor([0] * 50 + [1] * 7 + [3] * 3)


def test_balanced_weights_give_every_label_the_same_total() -> None:
    weights = balanced_weights(LABELS, 5)
    totals = torch.zeros(5).index_add_(0, LABELS, weights[LABELS])
    torch.testing.assert_close(totals, torch.tensor([20.0, 20.0, 0.0, 20.0, 0.0]))


def test_balanced_rows_hold_every_label_equally_often() -> None:
    rows = balanced_rows(LABELS, seed=0, epoch=1)
    assert LABELS[rows].bincount().tolist() == [20, 20, 0, 20]
    often = rows.bincount(minlength=60)
    assert [(int(part.min()), int(part.max())) for part in (often[:50], often[50:57], often[57:])] == [
        (0, 1),
        (2, 3),
        (6, 7),
    ]
    assert torch.equal(rows, balanced_rows(LABELS, seed=0, epoch=1))
    assert not torch.equal(rows, balanced_rows(LABELS, seed=0, epoch=2))


@pytest.fixture
def config(tmp_path: Path) -> TextConfig:
    rare = [row for row in sentences(12) if row[1] != "tool"] + sentences(3)
    path = write_csv(
        tmp_path / "things.csv", [(f"{text} {number}", label) for number, (text, label) in enumerate(rare)]
    )
    return TextConfig(dataset=f"csv:{path}", epochs=3, batch_size=8, hidden_size=8).resolved()


def test_the_options_reach_loss_and_batches(config: TextConfig) -> None:
    data = load(DataOptions(config.dataset))
    counts = data.train.labels.bincount()
    task = TextTask(replace(config, class_weights="balanced", sampling="balanced"), data)
    torch.testing.assert_close(task.loss.class_weights, balanced_weights(data.train.labels, 3))
    task.setup(torch.device("cpu"))
    drawn = torch.cat([batch.labels for (batch,) in task.batches(0, 0, Shard())]).bincount()
    assert int(counts.max() - counts.min()) > 3
    assert int(drawn.max() - drawn.min()) <= 1


def test_patience_counts_evaluations_since_the_best_one() -> None:
    values = [3.0, 2.0, 2.0, float("nan"), 1.0, 4.0]
    history = [{"valid_error": value} for value in values]
    optimizer = OptimizerSettings()
    stops = [FitSettings(9, 0, optimizer, patience=2).stops_early(history[:end]) for end in range(1, 7)]
    assert stops == [False, False, False, True, False, False]
    assert not FitSettings(9, 0, optimizer).stops_early(history)
    assert CheckpointCriterion("valid_error", highest=True).since_best(history) == 0


def test_early_stopping_is_the_same_after_a_resume(
    config: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, epochs=30, patience=2, best_metric="valid_macro_f1")
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(config, whole)
    lines = whole.history()
    scores = [line["valid_macro_f1"] for line in lines]
    assert len(lines) < 30
    assert scores.index(max(scores)) == len(lines) - 3
    assert ["test_error" in line for line in lines] == [False] * (len(lines) - 1) + [True]
    best = torch.load(whole.best_checkpoint, weights_only=True)
    assert best["line"]["valid_macro_f1"] == max(scores)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "finish", stop)  # killed after its last evaluation
    with pytest.raises(KeyboardInterrupt):
        train(config, cut)
    monkeypatch.undo()
    train(config, cut)
    timings = ("seconds", "texts_per_second")
    without = [[{k: v for k, v in line.items() if k not in timings} for line in run.history()] for run in (whole, cut)]
    assert without[0] == without[1]
    assert cut.finished


def test_patience_needs_validation_data(config: TextConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="patience: expected validation data"):
        train(replace(config, patience=1, validate=False), RunFolder(tmp_path / "run"))
