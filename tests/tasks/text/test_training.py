"""Text classification end to end: training, resuming, predicting."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import labelemb
from labelemb.cli.main import main
from labelemb.runs import RunFolder
from labelemb.tasks.text.batch import EncodedTexts, batches_by_length, padding_ratio
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import DataOptions, load
from labelemb.tasks.text.ngrams import BUCKETS, NgramEncoder, ngram_ids
from labelemb.tasks.text.recipe import train
from labelemb.tasks.text.trained import TrainedTextModel
from tests.tasks.text.conftest import assert_resumed_equals_uninterrupted, sentences, write_csv


@pytest.fixture
def config(tmp_path: Path) -> TextConfig:
    path = write_csv(tmp_path / "things.csv", sentences(40))
    return TextConfig(dataset=f"csv:{path}", epochs=5, batch_size=8, hidden_size=16).resolved()


def test_training_and_prediction(config: TextConfig, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(config, run)
    last = run.history()[-1]
    assert last["test_error"] < 10
    assert run.labels_file.is_file()
    model = TrainedTextModel(run)
    found = model.predict(["the heron is here", "a hammer"], top=3)
    assert [labels[0][0] for labels in found] == ["bird", "tool"]
    assert sum(p for _, p in found[0]) == pytest.approx(1)
    assert model.evaluate(model.test_texts()).error == pytest.approx(last["test_error"])
    relabeled = [(text, "fruit") for text, label in sentences(10, seed=1) if label == "tool"]
    other = write_csv(tmp_path / "other.csv", relabeled)
    assert model.evaluate(model.test_texts(f"csv:{other}")).error > 80


def test_resumed_equals_uninterrupted(config: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_resumed_equals_uninterrupted(config, tmp_path, monkeypatch)


def test_padding_does_not_change_the_output() -> None:
    torch.manual_seed(0)
    encoder = NgramEncoder(8, 0.0)
    encoded = EncodedTexts.of([ngram_ids("a short one"), ngram_ids("another text that is much longer")])
    ids, mask = encoded.padded(np.arange(2), 0)
    alone = encoder(*encoded.padded(np.arange(1), 0))
    torch.testing.assert_close(encoder(ids, mask)[:1], alone)
    ids[0, int(mask[0].sum()) :] = 7  # what stands in the padding does not count
    torch.testing.assert_close(encoder(ids, mask)[:1], alone)


def test_features_are_in_range_and_case_insensitive() -> None:
    for text in ("", "  ", "Ünïcode 日本語 🙂", "a" * 500):
        ids = ngram_ids(text)
        assert ids
        assert all(0 < number < BUCKETS for number in ids)
    assert ngram_ids("A Pear") == ngram_ids("a pear")


def test_batches_hold_every_text_once_with_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 5000)
    batches = batches_by_length(lengths, 32, seed=0, epoch=1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(5000))
    assert len(batches) == -(-5000 // 32)
    assert padding_ratio(lengths, batches) <= 1.07
    again, other = (batches_by_length(lengths, 32, seed=0, epoch=epoch) for epoch in (1, 2))
    assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(batches, other, strict=False))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "things.csv", sentences(20), ("body", "topic"))
    columns = ["--text_column", "body", "--label_column", "topic"]
    command = ["train", "text", "--dataset", f"csv:{path}", "--epochs", "1", "--out", str(tmp_path / "runs")]
    assert main([*command, *columns, "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert ": 60 texts, 3 labels; train 44, valid 4, test 12; 14 to 15 per label in train" in said
    assert "test_error" in said
    assert RunFolder(tmp_path / "runs" / "things" / "label_embedding" / "seed-0").finished
    assert main([*command, "--name", "other"]) == 2
    said = capsys.readouterr().err
    assert "a column 'text', got columns body, topic" in said
    assert not (tmp_path / "runs" / "other").exists()
    assert main(["train", "text", "--out", str(tmp_path / "runs")]) == 2
    assert "dataset: expected csv:PATH" in capsys.readouterr().err


def test_predict_and_evaluate(
    config: TextConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    train(config, run)
    model = labelemb.load_run(run.path)
    assert model.label_names == ("bird", "fruit", "tool")

    def predict(content: bytes, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main(["predict", str(run.path), *options])
        return code, *capsys.readouterr()

    code, said, _ = predict(b"a heron here\n\na hammer the saw\n", "--top", "1")
    assert (code, [line.split()[0] for line in said.splitlines()][::2]) == (0, ["bird", "tool"])
    rows = json.loads(predict(b"a heron here\n", "--json")[1])
    assert (rows[0]["text"], rows[0]["labels"][0]["label"]) == ("a heron here", "bird")
    assert predict(b"") == (0, "", "")
    assert "line 2: expected text in UTF-8" in predict(b"a\n\xff\n")[2]
    assert "reads lines from the standard input" in predict(b"", "x.png")[2]
    before = rows[0]["labels"][0]["probability"]
    assert main(["evaluate", str(run.path), "--calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["error"] == pytest.approx(run.history()[-1]["test_error"])
    assert labelemb.load_run(run.path).temperature == found["temperature"] != 1
    assert json.loads(predict(b"a heron here\n", "--json")[1])[0]["labels"][0]["probability"] != before
    assert main(["similar", str(run.path), "bird"]) == 0
    (run.path / "temperature.json").write_text('{"temperature": -1}')
    assert "temperature.json: expected" in predict(b"a heron here\n")[2]


def test_options_out_of_range(tmp_path: Path) -> None:
    assert load(DataOptions(f"csv:{write_csv(tmp_path / 'a.csv', sentences(20))}")).valid is not None
    for options in ({"model": "bert"}, {"per_label": 0}, {"dropout": 1.0}, {"warmup": 1.0}, {"pooling": "max"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            TextConfig(**options)  # type: ignore[arg-type]
