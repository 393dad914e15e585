"""Runs of transformers' Trainer, recorded for ``labelemb report``."""

import csv
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="pip install 'labelemb[transformers]'")

from labelemb import LabelEmbedding, LabelSmoothingLoss, Objective  # noqa: E402
from labelemb.cli import main  # noqa: E402
from labelemb.errors import ConfigError, DataError, ShapeError  # noqa: E402
from labelemb.integrations.transformers import LabelEmbeddingTrainer, calibrate, record_run  # noqa: E402
from labelemb.report import make_report  # noqa: E402
from labelemb.runs.predictions import read_predictions  # noqa: E402
from tests.integrations.test_transformers import LABELS, Rows, arguments, bert  # noqa: E402
from tests.test_docs import code_blocks  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "hf_compare.py"
pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers and accelerate are theirs to mend
NAMES = ["pay", "cancel", "refund", "login", "other"]


def trained(folder: Path, kind: Any = transformers.Trainer, seed: int = 0, **options: Any) -> Any:
    model = bert(id2label=dict(enumerate(NAMES)))
    args = arguments(folder / "checkpoints", **{"max_steps": 6, "seed": seed, "eval_steps": 3, **options})
    trainer = kind(model=model, args=args, train_dataset=Rows(24), eval_dataset=Rows(16))
    trainer.train()
    return trainer


def test_both_trainers_are_compared(tmp_path: Path) -> None:
    for seed in range(2):
        for kind in (transformers.Trainer, LabelEmbeddingTrainer):
            record_run(trained(tmp_path, kind, seed), Rows(40), "intents", out=tmp_path / "runs")
    report = make_report([tmp_path / "runs" / "intents"], tmp_path / "report")
    assert re.search(r"label embedding against one-hot: .*\b2 (paired )?seeds", report.text), report.text
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in NAMES)  # of the soft labels and of the confused pairs


def test_the_lines_that_the_readme_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = "\n".join(line[1:] for line in code_blocks("README.md", "diff")[1].splitlines() if line[:1] != "-")
    args = arguments(tmp_path / "checkpoints", max_steps=2)
    exec(script, {"model": bert(), "args": args, "train": Rows(24), "test": Rows(16)})
    assert (tmp_path / "runs" / "intents" / "label_embedding").is_dir()


@pytest.mark.parametrize("kind", [transformers.Trainer, LabelEmbeddingTrainer])
def test_calibration_divides_all_logits(tmp_path: Path, kind: Any) -> None:
    trainer = trained(tmp_path, kind, max_steps=30, learning_rate=0.02)
    before = trainer.predict(Rows(40)).predictions
    temperature = calibrate(trainer, Rows(30))
    assert temperature != pytest.approx(1, abs=0.01)
    assert trainer.predict(Rows(40)).predictions == pytest.approx(before / temperature, abs=1e-4)
    assert calibrate(trainer, Rows(30)) == pytest.approx(1, abs=0.01)
    run = record_run(trainer, Rows(40), "intents", out=tmp_path)
    assert run.config()["calibration_temperature"] == pytest.approx(temperature, rel=0.01)


def test_calibration_without_errors_is_refused(tmp_path: Path) -> None:
    trainer = trained(tmp_path, max_steps=1)
    weight, predictions = trainer.model.classifier.weight.clone(), trainer.predict(Rows(30)).predictions.argmax(1)
    right = [{**row, "labels": int(label)} for row, label in zip(Rows(30), predictions, strict=True)]
    with pytest.raises(DataError, match="logits: expected at least one wrong prediction, got 0 of 30 wrong"):
        calibrate(trainer, right)
    assert torch.equal(trainer.model.classifier.weight, weight)


def test_fitted_temperatures_are_not_differences(tmp_path: Path) -> None:
    for seed, kind in ((0, transformers.Trainer), (1, transformers.Trainer), (0, LabelEmbeddingTrainer)):
        trainer = trained(tmp_path, kind, seed, max_steps=30, learning_rate=0.02)
        calibrate(trainer, Rows(30 + seed))
        record_run(trainer, Rows(40), "intents", out=tmp_path / "runs")
    assert "temperature" not in make_report([tmp_path / "runs" / "intents"], tmp_path / "report").text
    record_run(trained(tmp_path, LabelEmbeddingTrainer, 1), Rows(40), "intents", out=tmp_path / "runs")
    text = make_report([tmp_path / "runs" / "intents"], tmp_path / "report").text
    assert "label embedding: the runs differ in calibrated" in text


def test_runs_with_two_objectives_are_told_apart(tmp_path: Path) -> None:
    for seed, objective in enumerate([None, Objective.fine_tuning]):
        model, args = bert(id2label=dict(enumerate(NAMES))), arguments(tmp_path, seed=seed)
        trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=Rows(24), objective=objective)
        trainer.train()
        run = record_run(trainer, Rows(40), "intents", out=tmp_path / "runs")
    assert (run.config()["beta"], run.config()["soft_end"]) == (0.0, 3)
    text = make_report([tmp_path / "runs" / "intents"], tmp_path / "report").text
    assert (
        "label embedding: the runs differ in beta: 0.5 (label embedding seed 0); 0.0 (label embedding seed 1)" in text
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"experiment": None}, "experiment: expected a name of one path component, got None"),
        ({"experiment": "a", "method": "x/y"}, "method: expected a name of one path component, got 'x/y'"),
        ({"experiment": "a", "method": ""}, "method: expected a name of one path component, got ''"),
    ],
)
def test_names_that_are_no_folders_are_refused(names: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        record_run(trained(tmp_path, max_steps=1), Rows(8), **names, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_what_calibration_refuses(tmp_path: Path) -> None:
    trainer = trained(tmp_path, max_steps=1)
    rows = [Rows(8)[number] for number in range(8)]
    weight = trainer.model.classifier.weight.clone()
    for model in (bert(), None):
        with pytest.raises(ConfigError, match="trainer: expected a Trainer of transformers, got"):
            calibrate(model, rows)
        with pytest.raises(ConfigError, match="trainer: expected a Trainer of transformers, got"):
            record_run(model, rows, "a", out=tmp_path / "runs")
    for data in (None, "valid.csv", 3):
        with pytest.raises(ConfigError, match="dataset: expected a data set, as trainer.predict takes it, got"):
            calibrate(trainer, data)
    with pytest.raises(DataError, match="dataset: expected at least one example, got none"):
        calibrate(trainer, [])
    with pytest.raises(DataError, match="dataset: expected examples with labels, got none. .* labels"):
        calibrate(trainer, [{name: value for name, value in row.items() if name != "labels"} for row in rows])
    with pytest.raises(ConfigError, match="labels: expected labels from 0 to 4, got -100"):
        calibrate(trainer, [*rows, {**rows[0], "labels": -100}])
    assert torch.equal(trainer.model.classifier.weight, weight)
    with torch.no_grad():
        trainer.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(ConfigError, match="logits: expected finite numbers, got NaN"):
        calibrate(trainer, rows)
    trainer.args.prediction_loss_only = True
    with pytest.raises(ConfigError, match="prediction_loss_only: expected False"):
        calibrate(trainer, rows)


def test_calibration_with_lora(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="pip install peft")
    config = peft.LoraConfig(target_modules=["query", "classifier"], init_lora_weights=False)
    args = arguments(tmp_path, max_steps=30, learning_rate=0.02)
    trainer = transformers.Trainer(model=peft.get_peft_model(bert(), config), args=args, train_dataset=Rows(24))
    trainer.train()
    with pytest.raises(ConfigError, match="head: expected a layer whose output is proportional"):
        calibrate(trainer, Rows(40))


def test_a_run_has_history_predictions_and_soft_labels(tmp_path: Path) -> None:
    trainer = trained(tmp_path, LabelEmbeddingTrainer, eval_strategy="steps")
    run, data = record_run(trainer, Rows(40), "intents", out=tmp_path), Rows(40)
    assert run.path == tmp_path / "intents" / "label_embedding" / "seed-0"
    assert run.finished
    lines = run.history()
    assert [line["step"] for line in lines] == [3, 6]
    assert all("valid_nll" in line for line in lines)
    assert "valid_runtime" not in lines[0]
    found = read_predictions(run.predictions_file)["last/test"]
    logits = trainer.export()(input_ids=data.words).logits
    assert found.predicted.tolist() == logits.argmax(1).tolist()
    assert lines[-1]["test_error"] == pytest.approx(100 * (logits.argmax(1) != data.labels).double().mean().item())
    saved = LabelEmbedding.load(run.labels_file)
    assert saved.label_names == NAMES
    torch.testing.assert_close(saved.soft_labels(), trainer.label_embedding.soft_labels())


def test_the_method_is_that_of_the_trainer(tmp_path: Path) -> None:
    smoothed = trained(tmp_path, label_smoothing_factor=0.1)
    assert record_run(smoothed, Rows(8), "a", out=tmp_path).path.parent.name == "label_smoothing"
    model = bert(id2label=dict(enumerate(NAMES)))
    loss = LabelSmoothingLoss(0.1)
    other = LabelEmbeddingTrainer(model=model, args=arguments(tmp_path), train_dataset=Rows(8), loss=loss)
    other.train()
    with pytest.raises(ConfigError, match="method: expected a name for runs with LabelSmoothingLoss"):
        record_run(other, Rows(8), "a", out=tmp_path)
    assert record_run(other, Rows(8), "a", "mine", out=tmp_path).path.parent.name == "mine"


def test_what_cannot_be_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = bert(id2label=dict(enumerate(NAMES)))
    trainer = transformers.Trainer(model=model, args=arguments(tmp_path), train_dataset=Rows(8))
    with pytest.raises(ConfigError, match="trainer: expected one that has trained"):
        record_run(trainer, Rows(8), "a", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    trainer.train()
    run = record_run(trainer, Rows(8), "a", out=tmp_path / "runs")
    with pytest.raises(ConfigError, match="expected a folder without a run"):
        record_run(trainer, Rows(8), "a", out=tmp_path / "runs")
    run.finished_file.unlink()  # as if it had been killed before the end
    assert record_run(trainer, Rows(8), "a", out=tmp_path / "runs").finished
    tokens = transformers.Trainer(
        model=bert("BertForTokenClassification"), args=arguments(tmp_path), train_dataset=Rows(8, "tokens")
    )
    tokens.train()
    with pytest.raises(ConfigError, match="test_dataset: expected one label per example"):
        record_run(tokens, Rows(8, "tokens"), "b", out=tmp_path / "runs")
    assert not (tmp_path / "runs" / "b").exists()
    assert main(["predict", str(run.path)]) == 2  # the model is not in the folder
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_with_wrong_labels_or_logits_leaves_no_folder(tmp_path: Path) -> None:
    trainer = trained(tmp_path)
    with pytest.raises(ShapeError, match="logits of test: expected shape"):
        record_run(trainer, Rows(8), "a", out=tmp_path / "runs", label_names=NAMES[:2])
    rows = [Rows(8)[number] for number in range(8)]
    with pytest.raises(ConfigError, match="labels of test: expected labels from 0 to 4, got -100"):
        record_run(trainer, [*rows, {**rows[0], "labels": -100}], "a", out=tmp_path / "runs")
    with torch.no_grad():
        trainer.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(ConfigError, match="logits of test: expected finite numbers"):
        record_run(trainer, Rows(8), "a", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_example_fine_tunes_on_a_csv_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *NAMES]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    bert().bert.save_pretrained(tmp_path / "encoder")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "encoder")
    with (tmp_path / "intents.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((f"{name} {name}", name) for name in NAMES for _ in range(10))]
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, "intents.csv", "encoder", "--seeds", "1", "--epochs", "1"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out.count("test error") == 2
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "test error" not in capsys.readouterr().out  # both runs were recorded
    assert "intents" in make_report([tmp_path / "runs" / "intents"], tmp_path / "report").text


assert len(NAMES) == LABELS
