"""Files of labeled texts: every format gives the same rows; invalid files give a one-line error."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelemb.errors import DataError, LabelembError
from labelemb.tasks.text import files
from labelemb.tasks.text.data import DataOptions, load
from labelemb.tasks.text.files import LINE, Columns, read_file
from tests.tasks.text.conftest import sentences, write_csv

ROWS = [('a, "quoted" text', "x"), ("two\u2028lines", "y"), ("café", "x")]


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ROWS)
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS))
    lines = [json.dumps({"label": label, "text": text, "more": 1}) for text, label in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n\n")
    for kind in ("csv", "tsv", "jsonl"):
        packed = tmp_path / f"b.{kind}.gz"
        packed.write_bytes(gzip.compress((tmp_path / f"a.{kind}").read_bytes()))
        for path in (tmp_path / f"a.{kind}", packed):
            assert read_file(path, kind, Columns()) == ROWS


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"body": [text for text, _ in ROWS], "topic": [label for _, label in ROWS]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_file(tmp_path / "a.parquet", "parquet", Columns("body", "topic")) == ROWS
    with pytest.raises(DataError, match="a column 'text', got columns body, topic"):
        read_file(tmp_path / "a.parquet", "parquet", Columns())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "labeled texts, got none"),
        (b"text,label\n", "labeled texts, got none"),
        (
            b"text,topic\na,b\n",
            "line 2: expected a column 'label', got columns text, topic. Name it with --label_column",
        ),
        (b"text,label\na\n", "line 2: expected a label in column 'label', got None"),
        (b"text,label\n ,b\n", "line 2: expected a text in column 'text'"),
        (b"text,label\na,b\na,b,c\n", "line 3: expected 2 columns, got more"),
        (b"text,label\na,b\ncaf\xe9,b\n", "line 3: expected text in UTF-8, got byte 0xe9"),
        (b'text,label\n"a,b\n', "csv text, got"),
        ("text,label\na,b\n".encode("utf-16"), "iconv -f utf-16 -t utf-8"),
        (b"text,label,text\na,b,c\n", "line 1: expected different column names, got 'text' twice"),
        (b"\x1f\x8b\x08\x00", "a file with labeled texts"),
    ],
)
def test_invalid_files(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(path, "csv", Columns())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "\0", "[]", "nan"])
def test_bad_json_lines(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": "b"}\n' + line)
    with pytest.raises(DataError, match="line 2: expected a JSON object"):
        read_file(path, "jsonl", Columns())


def test_what_is_unpacked_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * 1000))
    with pytest.raises(DataError, match="at most 1,000 bytes"):
        read_file(tmp_path / "a.csv", "csv", Columns())


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ("intents.csv", "Write csv:intents.csv"),
        ("", "csv:PATH"),
        ("csv:nowhere.csv", "nowhere.csv: expected a csv file with labeled texts, got no such file"),
        ("banking77", "csv:PATH"),
    ],
)
def test_invalid_names(dataset: str, says: str) -> None:
    with pytest.raises(LabelembError) as caught:
        load(DataOptions(dataset))
    assert says in str(caught.value)


def test_splits_are_disjoint_stratified_and_repeatable(tmp_path: Path) -> None:
    rows = [(f"{text} {number}", label) for number, (text, label) in enumerate(sentences(50))]
    options = DataOptions(f"csv:{write_csv(tmp_path / 'a.csv', rows)}")
    data, again = load(options), load(options)
    assert data.digest == again.digest
    assert [len(texts) for texts in data.splits.values()] == [108, 12, 30]
    assert sorted(line for texts in data.splits.values() for line in texts.lines) == sorted(text for text, _ in rows)
    assert data.test.labels.bincount().tolist() == [10, 10, 10]
    assert data.duplicates == {"valid": 0, "test": 0}
    assert data.label_names == ("bird", "fruit", "tool")


def test_separate_validation_and_test_files(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", sentences(10))
    (tmp_path / "test.tsv").write_text("text\tlabel\nA PEAR  the\tfruit\n")
    write_csv(tmp_path / "more.csv", [("a pear the", "fruit")])
    both = write_csv(tmp_path / "both.csv", [*sentences(10), ("a pear the", "fruit")])
    data = load(DataOptions(f"csv:{train}", validate=False, test_file=str(tmp_path / "test.tsv")))
    assert (len(data.train), data.valid, len(data.test)) == (30, None, 1)
    data = load(DataOptions(f"csv:{both}", validate=False, test_file=str(tmp_path / "test.tsv")))
    assert data.duplicates == {"test": 1}
    assert "1 of the 1 test texts are also training texts" in data.note


def test_texts_per_label_keeps_held_out_texts(tmp_path: Path) -> None:
    options = DataOptions(f"csv:{write_csv(tmp_path / 'a.csv', sentences(50))}", per_label=5)
    data = load(options)
    assert data.train.labels.bincount().tolist() == [5, 5, 5]
    assert len(data.test) == 30
    assert data.note.startswith("5 training texts per label")


def test_labels_must_occur_in_training(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "a.csv", sentences(10))
    test = write_csv(tmp_path / "b.csv", [("a stone", "stone")])
    with pytest.raises(DataError, match="test split: expected labels that occur in the training texts, got also stone"):
        load(DataOptions(f"csv:{train}", test_file=str(test)))
    one = write_csv(tmp_path / "c.csv", [(f"text {number}", "x") for number in range(30)])
    with pytest.raises(DataError, match=r"two labels or more, got 1 \(x\)"):
        load(DataOptions(f"csv:{one}"))


def test_only_texts_and_labels_of_a_data_set_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in other columns are not decoded: their readers may start other programs, Ghostscript for EPS files."""
    datasets = pytest.importorskip("datasets")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["x", "y"]), image=datasets.Image()
    )
    rows = {"text": ["a", "b"], "label": [0, 1], "image": [{"bytes": postscript, "path": "a.png"}] * 2}
    found = datasets.Dataset.from_dict(rows, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: {"train": found})
    assert files.read_hub("made-up", Columns()) == {"train": [("a", "x"), ("b", "y")]}
    with pytest.raises(DataError, match="texts or numbers in column 'image', got Image"):
        files.read_hub("made-up", Columns(text="image"))
    with pytest.raises(DataError, match="a column 'body', got columns text, label, image"):
        files.read_hub("made-up", Columns(text="body", label="body"))


@given(st.text(alphabet='a,"\r\n\x0b\u2028', max_size=12))
def test_lines_are_those_of_an_open_file(content: str) -> None:
    assert [found[0] for found in LINE.finditer(content)] == list(io.StringIO(content, newline=""))
