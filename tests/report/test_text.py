"""Language runs in the report: judged by a score of which more is better, read once; words chosen from a vocabulary."""

import re
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import DataError
from labelemb.report import make_report
from labelemb.report.comparison import compare_methods, comparison_cells
from labelemb.report.corpora import compare_scores, load_sentences
from labelemb.report.corpus_tables import corpus_tables
from labelemb.report.csv_table import csv_table
from labelemb.report.experiment import load_experiments
from labelemb.report.findings import findings
from labelemb.report.labels import WORDS, label_views
from labelemb.report.tables import text_table
from labelemb.terms.embedding import CompressedLabelEmbedding
from tests.report.conftest import WriteRun

BLEU = {"cross_entropy": (10.0, 11.0, 12.0), "label_embedding": (11.5, 12.4, 13.6)}
VOCABULARY = 300


def write_language(write_run: WriteRun, vocabulary: int = VOCABULARY) -> None:
    """Three seeds of two methods; the label embedding is better in BLEU by 1.5, 1.4 and 1.6."""
    for method, values in BLEU.items():
        for seed, value in enumerate(values):
            config = {"corpus": "data/mine", "dataset": "none"}
            run = write_run(method, seed, [60.0, 50.0], [61.0, 51.0], task="en-vi", config=config)
            lines = run.history()
            for number, line in enumerate(lines):
                line |= {"valid_bleu": value * (number + 1) / 2, "valid_perplexity": 30.0 - number}
                del line["test_error"]
            lines[-1] |= {"test_error": 52.0, "test_bleu": value, "test_chrf": 2 * value, "test_perplexity": 25.0}
            run.write_history(lines)
            if method == "label_embedding":
                names = ["<pad>", "<unk>", "<s>", "</s>", ",", "."]
                letters = "abcdefghijklmnopqrstuvwxyz"
                names += [letters[n // 26] + letters[n % 26] for n in range(vocabulary - 6)]
                CompressedLabelEmbedding(vocabulary, 4).save(run.labels_file, names)


def test_more_is_better(write_run: WriteRun, runs: Path) -> None:
    write_language(write_run)
    (task,) = load_experiments([runs])[0]
    assert (task.primary_metric.key, task.is_text) == ("bleu", True)
    comparison = compare_methods(task)
    assert comparison is not None
    label_embedding = comparison.results[1]
    assert label_embedding.absolute == pytest.approx(1.5)
    assert label_embedding.paired is not None
    assert label_embedding.paired.mean == pytest.approx(1.5)
    assert label_embedding.paired.low is not None
    assert label_embedding.paired.low > 0
    (said,) = findings(task)
    assert said.startswith("en-vi: label embedding against one-hot: 1.50 points higher (1.25 to 1.75), but 3 paired")
    head, one_hot, other = comparison_cells(comparison)
    assert head == [
        *("method", "BLEU", "chrF", "perplexity", "word error %"),
        *("better than one-hot by (95 %)", "p", "seconds per epoch"),
    ]
    assert one_hot[:3] == ["one-hot", "11.00 ± 1.00 (3)", "22.00 ± 2.00"]
    assert other[-1] == "2"


def test_a_test_text_is_no_row_of_test_errors(write_run: WriteRun, runs: Path) -> None:
    write_language(write_run)
    tasks, _ = load_experiments([runs])
    text = text_table(tasks)
    assert "Test error" not in text
    assert "en-vi: all methods, the test text, read once at the end:" in text
    assert "Findings, by the test BLEU after the last epoch:" in text
    assert tasks[0].convergence("label_embedding") is None, "there is no curve of the test text"
    rows = csv_table(tasks).splitlines()
    assert any(row.startswith("en-vi,bleu,3,11.0,1.0,") for row in rows)
    write_run("cross_entropy", 0, [2.0], [2.1])
    both = text_table(load_experiments([runs])[0])
    assert "Test error in percent" in both
    assert "by the test error or BLEU" in both or "by the test BLEU or error" in both
    table = both.split("Test error after the last epoch")[1].split("all methods")[0]
    assert "mnist-mlp" in table.split("en-vi")[0]


def test_one_mode_alone_is_shown(write_run: WriteRun, runs: Path) -> None:
    write_language(write_run)
    (task,) = load_experiments([runs / "en-vi" / "label_embedding"])[0]
    assert "label embedding  12.50 ± 1.05 (3)" in text_table([task])


def test_words_are_chosen_from_a_large_vocabulary(write_run: WriteRun, runs: Path) -> None:
    write_language(write_run)
    (task,) = load_experiments([runs])[0]
    (view,), warnings = label_views(list(task.groups.values()))
    assert len(view.names) == WORDS
    assert view.names[:2] == ["aa", "ab"], "the first of the vocabulary that are made of letters"
    assert warnings == [
        f"en-vi, label embedding: only the {WORDS} most frequent of 294 words are displayed (others: --labels)"
    ]
    (view,), warnings = label_views(list(task.groups.values()), ["ba", "</s>"])
    assert view.names == ["ba", "</s>"]
    assert not warnings


def test_a_small_vocabulary_is_drawn_without_its_special_tokens(write_run: WriteRun, runs: Path) -> None:
    write_language(write_run, 20)
    (task,) = load_experiments([runs])[0]
    (view,), warnings = label_views(list(task.groups.values()))
    assert len(view.names) == 14
    assert not warnings


def test_page_and_charts(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_language(write_run)
    made = make_report([runs], tmp_path / "report")
    assert {"curves-en-vi.svg", "intervals-en-vi.svg", "heatmap-en-vi.svg"} <= {path.name for path in made.figures}
    assert "validation BLEU" in (tmp_path / "report" / "curves-en-vi.svg").read_text()
    page = made.page.read_text(encoding="utf-8")
    options = re.findall(r"<option>(.*?)</option>", page)
    assert options[:3] == ["validation BLEU", "validation perplexity", "validation error, %"]
    assert not any("test" in option for option in options)
    assert "BLEU: all sentences, cased; higher is better" in page
    assert "ECE" not in page, "no legend of a metric that the page does not show"


def test_sentences_are_paired(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    """Label embedding scores 10 more on every sentence but the last, where it scores 40 less."""
    write_language(write_run)
    (task,) = load_experiments([runs])[0]
    base = np.linspace(40, 60, 30)
    for method, group in task.groups.items():
        for run in group.runs:
            other = base + np.where(np.arange(30) < 29, 10, -40) if method != "cross_entropy" else base
            run.folder.write_sentences({"test": {"rougeL": other + 0.1 * run.seed}})
            run.folder.write_output("test", [f"{method} <b>{number}" for number in range(30)], {})
    baseline, other = load_sentences(task)
    (found,) = compare_scores(baseline, other)
    assert found.networks.difference == pytest.approx(250 / 30)
    assert found.methods is not None
    assert found.methods.low < found.networks.low < found.methods.mean == pytest.approx(250 / 30)
    by_title = {table["title"]: table["cells"] for table in corpus_tables([baseline, other], "cross_entropy")}
    changed = by_title["Sentences that changed most, label embedding against one-hot"]
    assert changed[1] == ["29", "60.1", "20.1", "cross_entropy <b>29", "label_embedding <b>29"]
    assert len(by_title["label embedding against one-hot, pair by pair, ROUGE-L"]) == 4
    made = make_report([runs], tmp_path / "report")
    assert "label embedding against one-hot: ROUGE-L 50.10 → 58.43, difference 8.33 (95 % interval" in made.text
    assert "label_embedding &lt;b&gt;29" in made.page.read_text(encoding="utf-8")
    task.groups["label_embedding"].runs[0].folder.write_sentences({"test": {"rougeL": base[:20]}})
    with pytest.raises(DataError, match="the same test sentences"):
        load_sentences(load_experiments([runs])[0][0])
