"""The Stanford files: found, checked, downloaded by a fetcher of our own making, and nothing in their stead."""

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from labelemb.cli.main import main
from labelemb.errors import DataError
from labelemb.tasks.seq2seq import iwslt15
from labelemb.tasks.seq2seq.iwslt15 import load_iwslt15
from labelemb.tasks.seq2seq.recipe import load_corpus

REAL = dict(iwslt15.FILES)
TEXT = {
    "train.en": "The cat sits\nthe dog &apos;s here\nThe cat runs\n",
    "train.vi": "con Mèo ngồi\ncon chó đây\ncon Mèo chạy\n",
    "tst2012.en": "The bird sits\n",
    "tst2012.vi": "con chim ngồi\n",
    "tst2013.en": "a cat\nThe dog\n",
    "tst2013.vi": "một con mèo\ncon chó\n",
    "vocab.en": "<unk>\n<s>\n</s>\nThe\ncat\nthe\nsits\nruns\ndog\n",
    "vocab.vi": "<unk>\n<s>\n</s>\ncon\nMèo\nchó\nngồi\n",
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A set of the same shape, whose digests are known likewise, and a cache of its own."""
    known = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in TEXT.items()}
    monkeypatch.setattr(iwslt15, "FILES", known | {"train.en": None, "train.vi": None})
    monkeypatch.setattr(iwslt15, "TRAIN_LINES", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_corpus.cache_clear()


def put(folder: Path, zipped: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, text in TEXT.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_lower_cased_and_cased_corpus(tmp_path: Path) -> None:
    put(tmp_path / "iwslt15-en-vi")
    corpus = load_iwslt15("iwslt15-en-vi", tmp_path)
    assert {name: len(split) for name, split in corpus.splits.items()} == {"train": 3, "valid": 1, "test": 2}
    assert "mèo" in corpus.tgt_vocab.words
    assert "Mèo" not in corpus.tgt_vocab.words
    assert corpus.splits["test"].tgt_lines == ("một con mèo", "con chó"), "the references stay as they are"
    cased = load_corpus("iwslt15-en-vi-cased", tmp_path)
    assert cased.tgt_vocab.words[4:] == ("con", "Mèo", "chó", "ngồi")


def test_gzipped_files_give_the_same_corpus_and_use_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load_iwslt15("iwslt15-en-vi", put(tmp_path / "plain"))
    monkeypatch.setattr(iwslt15, "write_corpus", None)  # not called again
    other = load_iwslt15("iwslt15-en-vi", put(tmp_path / "zipped", zipped=True))
    assert one.digest == other.digest


def test_loading_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path / "data")
    (tmp_path / "cache").write_text("a file")
    corpus = load_iwslt15("iwslt15-en-vi", folder)
    assert len(corpus.splits["train"]) == 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train.vi", None, r"data: expected a folder with train.en\[.gz\], .*, got no train.vi\[.gz\] in .*stanford"),
        (
            "train.en",
            "The cat sits\n" * 4,
            "train.en: expected 3 lines, as in https://nlp.*train.en, got 4",
        ),
        ("tst2013.vi", "một con mèo\ncon Chó\n", "tst2013.vi: expected the contents of https://nlp.stanford.edu/"),
    ],
)
def test_missing_or_modified_files_are_refused(name: str, content: str | None, says: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "data")
    if content is None:
        # A file of a similar name is not used instead.
        (folder / name).rename(folder / f"train_substitute{Path(name).suffix}")
    else:
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        load_iwslt15("iwslt15-en-vi", folder)
    assert not (tmp_path / "cache").exists()


@pytest.mark.full_data
def test_digests_match_the_published_files(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ.get("LABELEMB_DATA", "/nonexistent")) / "iwslt15-en-vi"
    if not folder.is_dir():
        pytest.skip("no iwslt15-en-vi in LABELEMB_DATA")
    for name, digest in REAL.items():
        if digest is not None:
            file = folder / name if (folder / name).is_file() else folder / f"{name}.gz"
            monkeypatch.setitem(iwslt15.FILES, name, digest)
            assert iwslt15._verified_digest(name, file) == digest


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def retrieve(url: str, known_hash: str | None, fname: str, path: Path) -> str:
        fetched.append((url, known_hash is not None))
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_text(TEXT[fname], encoding="utf-8")
        return str(path / fname)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    corpus = load_iwslt15("iwslt15-en-vi", None)
    assert len(corpus.splits["train"]) == 3
    assert fetched[0] == ("https://nlp.stanford.edu/projects/nmt/data/iwslt15.en-vi/train.en", False)
    assert fetched[2:] == [(f"{iwslt15.SOURCE}{name}", True) for name in list(TEXT)[2:]]


def test_failed_download_names_the_files_and_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def retrieve(*arguments: Any, **more: Any) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.delenv("LABELEMB_DATA", raising=False)
    assert main(["train", "iwslt15-en-vi", "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "train.en[.gz], train.vi[.gz], tst2012.en[.gz]" in said
    assert "no download of train.en from https://nlp.stanford.edu" in said
    assert "--data DIR or LABELEMB_DATA=DIR" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
