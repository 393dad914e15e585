"""Runs of other programs: recorded by hand, and imported from their logs."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from labelemb import LabelEmbeddingLoss
from labelemb.cli import main
from labelemb.errors import ConfigError, DataError, LabelembError, ShapeError
from labelemb.report import make_report
from labelemb.runs import Recorder, RunFolder
from labelemb.runs.importers import read_log
from labelemb.runs.predictions import read_predictions
from tests.refusal import refuses


def test_recorded_runs_are_compared(tmp_path: Path) -> None:
    for method, gain in (("baseline", 0.0), ("mine", 1.0)):
        for seed in range(6):
            with Recorder(tmp_path, "intents", method, seed, {"lr": 0.1}) as recorder:
                for epoch in (1, 2):
                    recorder.log(epoch, test_error=20.0 - epoch - gain + 0.1 * seed)
    report = make_report([tmp_path / "intents"], tmp_path / "report", reference="baseline")
    assert "mine" in report.text
    assert "1.00" in report.text


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    Recorder(tmp_path, "a", "b", 0).log(1, test_error=3.0)
    again = Recorder(tmp_path, "a", "b", 0)
    assert not again.run.finished
    again.log(2, test_error=2.0)
    again.finish()
    assert [line["test_error"] for line in RunFolder.of(tmp_path, "a", "b", 0).history()] == [3.0, 2.0]
    with pytest.raises(DataError, match="after epoch 2"):
        again.log(2, test_error=2.0)


@pytest.mark.parametrize(
    ("name", "value"), [("experiment", "a/b"), ("method", ".."), ("method", ""), ("seed", -1), ("seed", "0")]
)
def test_names_that_are_no_folders(name: str, value: object, tmp_path: Path) -> None:
    given = {"experiment": "a", "method": "b", "seed": 0} | {name: value}
    with pytest.raises(ConfigError, match=f"{name}: expected"):
        Recorder(tmp_path, **given)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_nothing_but_finite_numbers(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", "b", 0)
    with pytest.raises(ConfigError, match="test_error: expected a finite number, got nan"):
        recorder.log(1, test_error=float("nan"))
    with pytest.raises(ConfigError, match="finish"):
        recorder.finish()


LOGS = {
    "trainer_state.json": json.dumps(
        {
            "log_history": [
                {"epoch": 0.5, "step": 5, "loss": 2.0},
                {"epoch": 1.0, "step": 10, "eval_accuracy": 0.8, "eval_loss": 0.7},
                {"epoch": 2.0, "step": 20, "eval_accuracy": 0.9},
            ]
        }
    ),
    "metrics.csv": "epoch,step,train_loss,val_acc\n0,9,1.0,\n0,9,,0.8\n1,19,0.5,\n1,19,,0.9\n",
    "mine.csv": "epoch,validation accuracy\n1,80\n2,90\n",
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_other_programs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(LOGS[name])
    lines = read_log(tmp_path / name)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["valid_error"] for line in lines] == pytest.approx([20.0, 10.0])
    command = [
        "import",
        str(tmp_path / name),
        "--experiment",
        "a",
        "--method",
        "b",
        "--out",
        str(tmp_path / "runs"),
        "--test",
    ]
    assert main(command) == 0
    run = RunFolder.of(tmp_path / "runs", "a", "b", 0)
    assert run.finished
    assert run.history()[-1]["test_error"] == pytest.approx(10.0)
    assert main(command) == 2
    assert "expected a folder without a run" in capsys.readouterr().err
    run.finished_file.unlink()  # as if the import had been killed
    assert main(command) == 0
    assert run.finished


def test_terms_and_logits_as_a_loss_returns_them(tmp_path: Path) -> None:
    head, labels = nn.Linear(4, 3), torch.tensor([0, 1, 2])
    out = LabelEmbeddingLoss(4, 3)(torch.randn(3, 4), head, labels)
    with Recorder(tmp_path, "a", "b", 0) as recorder:
        recorder.log(epoch=1, terms=out.terms, logits={"test": (head(torch.randn(3, 4)), labels)})
    assert recorder.run.history()[0]["terms"] == {name: float(value) for name, value in out.terms.items()}
    assert read_predictions(recorder.run.predictions_file)


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("experiment", {"experiment": 3}),
        ("seed", {"seed": True}),
        ("label_names", {"label_names": ["a", "a"]}),
        ("label_names", {"label_names": "abc"}),
        ("label_names", {"label_names": [0, 1]}),
        ("label_names", {"label_names": []}),
        ("config, path", {"config": {"path": Path("x")}}),
        ("config, lr", {"config": {"lr": float("nan")}}),
    ],
)
def test_a_recorder_that_cannot_be_made_leaves_nothing(argument: str, wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(LabelembError) as raised:
        Recorder(**{"out": tmp_path, "experiment": "a", "method": "b", "seed": 0, **wrong})
    assert raised.value.argument == argument
    assert not list(tmp_path.iterdir())


def test_options_do_not_replace_method_and_seed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", "b", 0, {"method": "adam", "seed": 7, "betas": (0.9, 0.99)})
    assert recorder.run.config() == {"method": "b", "seed": 0, "betas": [0.9, 0.99]}
    Recorder(tmp_path, "a", "b", 0, {"betas": (0.9, 0.99)})  # the same run goes on


@pytest.mark.parametrize("pair", [torch.zeros(2, 3), (torch.zeros(2, 3), [0, 1]), (np.zeros((2, 3)), torch.zeros(2))])
def test_logits_that_are_no_tensors(pair: Any, tmp_path: Path) -> None:
    with refuses(ShapeError, "logits of test", "two tensors"):
        Recorder(tmp_path, "a", "b", 0).log(1, logits={"test": pair})


@pytest.mark.parametrize("terms", [[1.0], {"hard": torch.zeros(2)}, {"hard": "x"}])
def test_terms_that_are_no_numbers(terms: Any, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", "b", 0)
    with refuses(ConfigError, "terms", "numbers"):
        recorder.log(1, terms=terms)
    assert recorder.run.history() == []


def test_a_recorded_run_has_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(tmp_path, "a", "b", 0) as recorder:
        recorder.log(epoch=1, test_error=1.0)
    assert main(["predict", str(recorder.run.path)]) == 2
    expected = f"labelemb: {recorder.run.path}: expected a run of labelemb train, got one that was recorded or imported"
    assert capsys.readouterr().err.startswith(expected)


def test_a_log_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,val_acc\n1,0.75\n", encoding="utf-8-sig")
    assert read_log(tmp_path / "a.csv") == [{"epoch": 1, "step": 1, "valid_error": 25.0}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("epoch,val_acc,val_acc\n1,0.7,0.8\n", "different column names"), ("epoch,val_acc\n1,0,8\n", "2 columns")],
)
def test_a_log_with_ambiguous_columns_is_refused(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with refuses(DataError, str(tmp_path / "a.csv"), expected):
        read_log(tmp_path / "a.csv")


def test_tensorboard_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in (10, 20):
            writer.add_scalar("val/acc", step / 25, step)
    assert [line["valid_error"] for line in read_log(tmp_path)] == pytest.approx([60.0, 20.0], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.json", "[]", "log_history"),
        ("x.json", "{", "x.json"),
        ("x.csv", "a,b\n1,2\n", "column 'epoch' or 'step'"),
        ("x.csv", "", "no header"),
        ("x.csv", "epoch,loss\n1,2\n", "expected evaluations"),
        ("x.txt", "", "trainer_state.json"),
    ],
)
def test_what_is_no_log(name: str, content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(content)
    assert (
        main(["import", str(tmp_path / name), "--experiment", "a", "--method", "b", "--out", str(tmp_path / "runs")])
        == 2
    )
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_logits_give_the_metrics_and_the_predictions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(40, 5), torch.randint(5, (40,))
    with Recorder(tmp_path, "a", "b", 0, label_names=list("vwxyz")) as recorder:
        recorder.log(1, logits={"valid": (-logits, labels), "test": (-logits, labels)})
        recorder.log(2, logits={"test": (logits, labels)}, valid_error=50.0)
    line = recorder.run.history()[-1]
    assert line["test_error"] == pytest.approx(100 * (logits.argmax(1) != labels).double().mean().item())
    assert line["test_nll"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert {"test_ece", "test_macro_f1", "test_aurc", "test_balanced_accuracy", "valid_error"} <= line.keys()
    found = read_predictions(recorder.run.predictions_file)
    assert found.keys() == {"last/test"}
    assert found["last/test"].predicted.tolist() == logits.argmax(1).tolist()
    assert list(recorder.run.errors_by_label()["test"]) == list("vwxyz")


@pytest.mark.parametrize(
    ("split", "logits", "labels", "says"),
    [
        ("train", torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), "logits: expected valid or test"),
        ("test", torch.zeros(2, 4), torch.zeros(2, dtype=torch.long), "expected shape (N, 3), N >= 1, got (2, 4)"),
        ("test", torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), "N >= 1, got (0, 3)"),
        ("test", torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), "expected int64 labels of shape (2,)"),
        ("test", torch.zeros(2, 3), torch.zeros(2), "expected int64 labels"),
        ("test", torch.zeros(2, 3), torch.tensor([0, -100]), "expected labels from 0 to 2, got -100 to 0"),
        ("test", torch.full((2, 3), float("nan")), torch.tensor([0, 1]), "expected finite numbers"),
    ],
)
def test_logits_that_do_not_fit(split: str, logits: Tensor, labels: Tensor, says: str, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "a", "b", 0, label_names=["x", "y", "z"])
    with pytest.raises(LabelembError, match=re.escape(says)):
        recorder.log(1, logits={split: (logits, labels)})
    assert not recorder.run.history()
    assert not recorder.run.predictions_file.exists()


def test_the_report_of_recorded_runs_invents_no_curves(tmp_path: Path) -> None:
    for method in ("cross_entropy", "label_embedding"):
        with Recorder(tmp_path, "intents", method, 0, {"learning_rate": 1e-4, "schedule": "linear"}) as recorder:
            recorder.log(3, step=30, test_error=10.0)
    report = make_report([tmp_path / "intents"], tmp_path / "report")
    assert not [path for path in report.figures if path.stem.startswith(("curves", "loss"))]
