"""Sequence-to-sequence runs: training, resuming with identical results, scores."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labelemb.errors import ConfigError, DataError
from labelemb.runs import Line, RunFolder
from labelemb.runs.sentences import read_sentences
from labelemb.stats.text import score_of, sentence_statistics
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.hypothesis import SearchSettings
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus
from labelemb.tasks.seq2seq.recipe import check, load_corpus, train
from labelemb.tasks.seq2seq.scores import score
from labelemb.tasks.seq2seq.task import Seq2SeqTask
from labelemb.tasks.seq2seq.translate import translate
from labelemb.terms.embedding import CompressedLabelEmbedding, LabelEmbedding
from labelemb.training.checkpoint import load_checkpoint
from labelemb.training.task import Shard
from tests.processes import run_alone

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spoken(numbers: range) -> list[tuple[str, str]]:
    """Pairs of a number's digits and the names of the digits in reverse order."""
    return [(" ".join(str(n)), " ".join(DIGITS[int(digit)] for digit in reversed(str(n)))) for n in numbers]


@pytest.fixture
def config(tmp_path: Path) -> Seq2SeqConfig:
    """Configuration of a tiny run and its corpus."""
    sources = {"train": range(100, 300, 3), "valid": range(101, 130, 3), "test": range(102, 130, 3)}
    pairs = {name: (lambda numbers=numbers: iter(spoken(numbers))) for name, numbers in sources.items()}
    write_corpus(tmp_path / "corpus", pairs, PreprocessOptions())
    small = {"embedding_size": 8, "hidden_size": 12, "layers": 2, "batch_size": 16, "epochs": 2, "max_length": 6}
    return Seq2SeqConfig(corpus=str(tmp_path / "corpus"), eval_metrics="exact,bleu,rouge", device="cpu", **small)  # type: ignore[arg-type]


def without_time(run: RunFolder) -> list[dict[str, object]]:
    return [{k: v for k, v in line.items() if "second" not in k} for line in run.history()]


@pytest.mark.parametrize(
    ("method", "model"), [("label_embedding", "lstm"), ("cross_entropy", "lstm"), ("label_embedding", "transformer")]
)
def test_training_run(config: Seq2SeqConfig, method: str, model: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = replace(config, method=method, model=model, heads=2, eval_interval=4, beam_size=2)  # type: ignore[arg-type]
    train(config, run)
    assert run.finished
    lines = run.history()
    assert [line["step"] for line in lines] == [4, 8, 10]
    scores = {"exact", "bleu", "paper_bleu", "chrf", "rouge1", "rouge2", "rougeL"}
    expected = {"valid_loss", "valid_perplexity", "valid_error", "words_per_second", *(f"valid_{s}" for s in scores)}
    assert all(expected <= set(line) for line in lines)
    assert [("test_bleu" in line, "test_perplexity" in line) for line in lines] == [(False, False)] * 2 + [(True, True)]
    assert lines[-1]["valid_perplexity"] < lines[0]["valid_perplexity"]
    assert_artifacts(run, config)
    if method == "label_embedding":
        embedding = LabelEmbedding.load(run.labels_file)
        assert isinstance(embedding, CompressedLabelEmbedding)
        assert embedding.rank == 12
        assert embedding.label_names is not None
        assert set(DIGITS) <= set(embedding.label_names)
    else:
        assert not run.labels_file.exists()


def assert_artifacts(run: RunFolder, config: Seq2SeqConfig) -> None:
    """Outputs, scores with signatures and best checkpoints agree with the history."""
    lines, corpus = run.history(), Corpus.open(config.corpus)
    for split in ("valid", "test"):
        scores = run.scores()[split]
        assert {f"{split}_{name}": one["value"] for name, one in scores.items()}.items() <= lines[-1].items()
        assert "case:mixed|eff:no|tok:none|smooth:exp|version" in scores["bleu"]["signature"]
        assert "case:lc" in scores["paper_bleu"]["signature"]
        assert scores["rouge1"]["signature"].startswith("nrefs:1|case:mixed|tok:word")
        output = run.output_file(split).read_text(encoding="utf-8").splitlines()
        assert score("bleu", output, corpus.splits[split].tgt_lines, output, False)["bleu"].value == pytest.approx(
            scores["bleu"]["value"]
        )
        by_sentence = read_sentences(run.sentences_file)[f"last/{split}"]
        for name in ("bleu", "rouge1", "rougeL"):
            statistics = sentence_statistics(by_sentence[name])
            assert score_of(statistics)(statistics.sum(axis=0)) == pytest.approx(scores[name]["value"], abs=1e-4)
    criteria = {"": ("valid_perplexity", min), "bleu": ("valid_bleu", max), "rouge": ("valid_rougeL", max)}
    for name, (metric, best) in criteria.items():
        assert load_checkpoint(run.best_by(name))["line"][metric] == best(line[metric] for line in lines)
        assert f"{run.best_by(name).stem}/valid" in read_sentences(run.sentences_file)


@torch.no_grad()
@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_evaluation_does_not_depend_on_the_batch_size(config: Seq2SeqConfig, model: str) -> None:
    corpus = Corpus.open(config.corpus)
    config = replace(config, model=model, heads=3)  # type: ignore[arg-type]
    found = []
    for size in (1, 7):
        task = Seq2SeqTask(replace(config, batch_size=size, hidden_size=12), corpus)
        task.setup(torch.device("cpu"))
        task.loss.double()
        found.append(task.evaluate(task.model.eval().double(), Shard(), lambda counts: counts))
    assert found[0] == pytest.approx(found[1])
    assert found[0]["valid_perplexity"] == pytest.approx(len(corpus.tgt_vocab), rel=0.6), (
        "close to uniform before training"
    )


def test_runs_are_reproducible_and_methods_share_initial_weights(config: Seq2SeqConfig, tmp_path: Path) -> None:
    runs = [RunFolder(tmp_path / name) for name in "ab"]
    for run in runs:
        train(replace(config, dropout=0.3), run)
    assert without_time(runs[0]) == without_time(runs[1])
    corpus = Corpus.open(config.corpus)
    one, other = (
        Seq2SeqTask(replace(config, method=method), corpus) for method in ("label_embedding", "cross_entropy")
    )  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))
    batches = [next(iter(_placed(task).batches(3, 1, Shard())))[0].source for task in (one, other)]
    assert torch.equal(*batches)


def _placed(task: Seq2SeqTask) -> Seq2SeqTask:
    task.setup(torch.device("cpu"))
    return task


def train_and_die(config: Seq2SeqConfig, run: RunFolder, threads: int) -> int:
    """Train; die when the third evaluation is in the history."""
    torch.set_num_threads(threads)
    write = RunFolder.write_history

    def write_and_die(run: RunFolder, lines: list[Line]) -> None:
        write(run, lines)
        if len(lines) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    RunFolder.write_history = write_and_die  # type: ignore[method-assign]
    train(config, run)
    return 0


@pytest.mark.parametrize(("save_interval", "embedding_rows"), [(None, 1.0), (6, 0.5)])
def test_resumed_run_equals_uninterrupted_run(
    config: Seq2SeqConfig, save_interval: int | None, embedding_rows: float, tmp_path: Path
) -> None:
    config = replace(config, dropout=0.3, eval_interval=3, save_interval=save_interval, epochs=4, soft_start=5)
    config = replace(config, embedding_rows=embedding_rows)
    whole = RunFolder(tmp_path / "whole")
    train(config, whole)
    killed = RunFolder(tmp_path / "killed")
    assert run_alone(train_and_die, config, killed, torch.get_num_threads()) == -signal.SIGKILL
    assert len(killed.history()) == 3
    train(config, killed)
    assert without_time(killed) == without_time(whole)
    for file in ("last.pt", "best.pt", "best-bleu.pt"):
        one, other = (load_checkpoint(run.path / file) for run in (killed, whole))
        for module in ("model", "loss"):
            assert all(torch.equal(one[module][name], other[module][name]) for name in one[module])
    for split in ("valid", "test"):
        assert killed.output_file(split).read_bytes() == whole.output_file(split).read_bytes()
    assert killed.scores() == whole.scores()


def test_evaluation_batch_size_with_token_batches() -> None:
    assert Seq2SeqConfig(batch_size=7).eval_batch_size == 7
    assert Seq2SeqConfig(batch_size=4096, batch_type="tokens").eval_batch_size == 64


def test_damaged_corpus_is_reported_when_data_folder_is_given(
    make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    make_corpus()
    ids = tmp_path / "made" / "train.src.ids"
    ids.write_bytes(ids.read_bytes()[:-2])
    with pytest.raises(DataError, match="train.src.ids: expected 20 bytes, got 18"):
        load_corpus(str(tmp_path / "made"), tmp_path)


def test_checkpoints_are_written_every_save_interval(config: Seq2SeqConfig, tmp_path: Path) -> None:
    """At the evaluation that follows; here steps 2, 4 .. 10, of which 4 passes 3, 6 and 10 pass 6 and 9."""
    run = RunFolder(tmp_path / "run")
    steps = []

    class Watched(RunFolder):
        def write_history(self, lines: Any) -> None:
            super().write_history(lines)
            last = self.last_checkpoint
            steps.append(load_checkpoint(last)["history"][-1]["step"] if last.is_file() else 0)

    train(replace(config, eval_interval=2, save_interval=3), Watched(run.path))
    assert steps == [0, 4, 6, 6, 10]


def test_translate_keeps_the_order_of_lines(make_corpus: Callable[..., Corpus]) -> None:
    held_out = [("the dog sits here", "x"), ("", "x"), ("cat", "x"), ("the Zebra", "x")]
    corpus = make_corpus(held_out=held_out)
    model = Seq2SeqTask(Seq2SeqConfig(hidden_size=6, embedding_size=4), corpus).model.eval()
    valid = corpus.splits["valid"]

    def lines(batch_size: int, replace_unknown: bool = True) -> list[str]:
        settings = SearchSettings()
        return translate(model, corpus.tokenizer, valid.src, valid.src_lines, settings, batch_size, replace_unknown)  # type: ignore[arg-type]

    assert lines(1) == lines(3)
    assert len(lines(2)) == 4
    assert lines(2)[1] == ""
    with torch.no_grad():
        model.head.bias[1] = 100.0  # type: ignore[union-attr]
    assert set(lines(4)[2].split()) == {"cat"}, "unknown words are replaced"
    assert set(lines(4, False)[2].split()) == {"<unk>"}


def test_scores() -> None:
    assert score("exact", ["a  b", "c"], ["a b", "d"], ["x", "y"], False)["exact"].value == 50
    assert set(score("bleu", ["a b c d"], ["a b c d"], ["x"], False)) == {"bleu", "paper_bleu", "chrf"}
    assert score("exact", ["你好吗", "再见"], ["你 好吗", "再 会"], ["x", "y"], True)["exact"].value == 50
    chinese = score("bleu", ["今天天气很好啊"], ["今天天气很好吗"], ["x"], True)
    assert set(chinese) == {"bleu", "chrf"}
    assert chinese["bleu"].value == pytest.approx(100 * (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25)
    assert "tok:char" in chinese["bleu"].signature
    assert set(score("bleu", ["a"], ["w " * 51], ["x"], False)) == {"bleu", "chrf"}
    assert score("rouge", ["ab"], ["ac"], ["x"], True)["rouge1"].value == pytest.approx(50)
    assert score("rouge", ["ab"], ["ac"], ["x"], False)["rouge1"].value == 0


def test_invalid_runs_are_refused(config: Seq2SeqConfig, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"soft_start: expected fewer steps than the run has \(10\), got 10"):
        check(replace(config, soft_start=10), run)
    check(replace(config, soft_start=10, method="cross_entropy"), run)
    with pytest.raises(DataError, match="data: expected the folder of a preprocessed corpus, got none at nowhere"):
        check(replace(config, corpus="nowhere"), run)
    with pytest.raises(ConfigError, match=r"eval_metrics: expected exact or bleu or rouge, got 'meteor'; .*beam_size"):
        replace(config, eval_metrics="bleu,meteor", beam_size=0)
    with pytest.raises(ConfigError, match=r"model: expected lstm or transformer, got 'gru'"):
        replace(config, model="gru")
    with pytest.raises(
        ConfigError, match=r"heads: expected a divisor of hidden_size \(12\), got 8; feedforward: .* got 0"
    ):
        replace(config, model="transformer", feedforward=0)
    assert not run.path.exists()
    check(replace(config, corpus="corpus"), run, tmp_path)


def test_resume_with_another_corpus_is_refused(config: Seq2SeqConfig, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(replace(config, epochs=1), run)
    digest = json.loads(run.signature_file.read_text())["data_digest"]
    assert digest == Corpus.open(config.corpus).digest
    numbers = load_corpus("numbers-en-vi", None)
    assert {name: len(split) for name, split in numbers.splits.items()} == {"train": 12_000, "valid": 500, "test": 500}
