"""Predictions on disk: the same arrays, the same bytes, no pickle, and those of the best checkpoint stay."""

from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.runs.predictions import Predictions, read_predictions, write_predictions
from labelemb.runs.sentences import read_sentences


def predictions(seed: int, size: int = 300) -> Predictions:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 1000, size), random.integers(0, 1000, size)
    return Predictions(*labels, random.random(size, np.float32), random.random(size, np.float32))


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name in ("label", "predicted", "confidence", "true_probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_what_is_written_is_read_and_takes_few_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    for path in (first, second):
        write_predictions(path, {"last/test": predictions(0, 10_000)})
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size <= 10_000 * 12 + 2000, "two bytes a label, four a probability"
    assert_equal(read_predictions(first)["last/test"], predictions(0, 10_000))
    assert read_predictions(tmp_path / "none.npz") == {}


def test_the_predictions_of_the_best_checkpoint_stay(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_predictions({"valid": predictions(0), "test": predictions(1)})
    run.keep_output("")
    run.write_predictions({"valid": predictions(2), "test": predictions(3)})
    run.keep_output("bleu")
    found = read_predictions(run.predictions_file)
    assert list(found) == ["last/valid", "last/test", "best/valid", "best/test"]
    for key, seed in zip(found, (2, 3, 0, 1), strict=True):
        assert_equal(found[key], predictions(seed))


def test_damaged_files_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    path.write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="predictions of a run"):
        read_predictions(path)
    evil = np.array([{"a": 1}], dtype=object)
    np.savez(path, **{f"last/test/{name}": evil for name in ("label", "predicted", "confidence", "true_probability")})
    with pytest.raises(DataError, match="predictions of a run"):
        read_predictions(path)
    np.savez(path, **{"last/test/label": np.zeros(3)})
    with pytest.raises(DataError, match="predictions of a run"):
        read_predictions(path)
    good = predictions(0)
    write_predictions(path, {"last/test": Predictions(good.label[:2], *list(vars(good).values())[1:])})
    with pytest.raises(DataError, match="four arrays of one length"):
        read_predictions(path)


def test_scores_of_sentences_stay_for_each_best_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    counts, scores = np.arange(30).reshape(3, 10), np.array([50.0, 0.0, 100.0])
    run.write_sentences({"valid": {"bleu": counts, "exact": scores}})
    run.keep_output("")
    run.keep_output("bleu")
    run.write_sentences({"valid": {"bleu": counts + 1}, "test": {"exact": scores}})
    run.keep_output("bleu")
    found = read_sentences(run.sentences_file)
    assert {key: sorted(of) for key, of in found.items()} == {
        "last/valid": ["bleu"],
        "last/test": ["exact"],
        "best/valid": ["bleu", "exact"],
        "best-bleu/valid": ["bleu"],
        "best-bleu/test": ["exact"],
    }
    np.testing.assert_array_equal(found["best/valid"]["bleu"], counts)
    np.testing.assert_array_equal(found["best-bleu/valid"]["bleu"], counts + 1)
    np.savez(run.sentences_file, **{"last/test/bleu": counts, "last/test/exact": scores[:2]})
    with pytest.raises(DataError, match="equally many sentences"):
        read_sentences(run.sentences_file)
