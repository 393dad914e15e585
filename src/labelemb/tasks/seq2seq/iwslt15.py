"""IWSLT15 English-Vietnamese, tokenized, as published by the Stanford NLP group (Luong and Manning, 2015)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from labelemb.downloads import fetch
from labelemb.errors import DataError
from labelemb.files import cache_folder
from labelemb.tasks.seq2seq.corpus import FORMAT, Corpus, read_metadata
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus
from labelemb.tasks.seq2seq.text_io import parallel, read_lines

SOURCE = "https://nlp.stanford.edu/projects/nmt/data/iwslt15.en-vi/"
# SHA-256 of the uncompressed contents; None: unknown, the number of lines is checked instead.
FILES: dict[str, str | None] = {
    "train.en": None,
    "train.vi": None,
    "tst2012.en": "b8fbcd0d4199d41276421d1f7228298df67dd9e2c5c134c2ee8cdf3ec27801e2",
    "tst2012.vi": "01004078b3f36b0c46e81b65fc6851230b3c823405c76d1d82ef3b786b512ff0",
    "tst2013.en": "3860ce60bc5b85d96cc2d3d580cf1bc9d62440e939c1b964676d3607c4e8f1df",
    "tst2013.vi": "29af16842808da2812b8fd4d47fc05d082ba870e60ab7755090ad04b380994cd",
    "vocab.en": "97ca770fd3a4ebc41ea219d0a89a52e8a50cd426417c1107b9a45e34a0398d55",
    "vocab.vi": "2554d3ca46f046ab40abebee3bebfeff3930dc2d1a737efe6f34526d628d6a7f",
}
TRAIN_LINES = 133_317
SPLITS = {"train": "train", "valid": "tst2012", "test": "tst2013"}
# Preprocessing by corpus name: as published; cased, with the provided vocabularies; small enough for a CPU.
NAMES = {
    "iwslt15-en-vi": PreprocessOptions(lower=True),
    "iwslt15-en-vi-cased": PreprocessOptions(src_vocab="vocab.en", tgt_vocab="vocab.vi"),
    "iwslt15-en-vi-small": PreprocessOptions(src_vocab_size=6_000, tgt_vocab_size=3_000, src_length=40),
}


def load_iwslt15(name: str, folder: Path | None) -> Corpus:
    """Load the corpus; it is preprocessed once and then read from the cache.

    Args:
        name: A key of ``NAMES``.
        folder: Folder with the files or with a subfolder ``iwslt15-en-vi``; None: download them once.

    Returns:
        The corpus.

    Raises:
        DataError: If files are missing or differ from the published ones.
    """
    files = {file: _find(file, folder) if folder is not None else _download(file) for file in FILES}
    digests = {file: _verified_digest(file, path) for file, path in files.items()}
    options = NAMES[name]
    key = hashlib.sha256(json.dumps([FORMAT, digests, asdict(options)]).encode()).hexdigest()[:24]
    corpus_folder = cache_folder() / "corpora" / f"{name}-{key}"
    if read_metadata(corpus_folder) is None:
        try:
            _preprocess(corpus_folder, files, options)
        except OSError:  # caching is optional: the disk may be full or read-only
            with TemporaryDirectory() as temporary:
                _preprocess(Path(temporary) / name, files, options)
                return Corpus.open(Path(temporary) / name).in_memory()
    return Corpus.open(corpus_folder)


def _preprocess(folder: Path, files: Mapping[str, Path], options: PreprocessOptions) -> None:
    pairs = {split: parallel(files[f"{name}.en"], files[f"{name}.vi"]) for split, name in SPLITS.items()}
    if options.src_vocab and options.tgt_vocab:
        source, target = str(files[options.src_vocab]), str(files[options.tgt_vocab])
        options = replace(options, src_vocab=source, tgt_vocab=target)
    write_corpus(folder, pairs, options)


def _find(name: str, folder: Path) -> Path:
    for place in (folder, folder / "iwslt15-en-vi"):
        for file in (place / name, place / f"{name}.gz"):
            if file.is_file():
                return file
    raise DataError(
        "data", _expected_files(), f"no {name}[.gz] in {folder} or {folder / 'iwslt15-en-vi'}", f"From {SOURCE}"
    )


def _download(name: str) -> Path:
    digest = FILES[name]
    return fetch(SOURCE, name, f"sha256:{digest}" if digest else None, "iwslt15-en-vi", _expected_files())


def _verified_digest(name: str, path: Path) -> str:
    """Return the SHA-256 of a file's contents after comparing it with the published file."""
    sha, lines = hashlib.sha256(), 0
    for line in read_lines(path):
        sha.update(f"{line}\n".encode())
        lines += 1
    expected, found = FILES[name], sha.hexdigest()
    if expected is None and lines != TRAIN_LINES:
        raise DataError(str(path), f"{TRAIN_LINES:,} lines, as in {SOURCE}{name}", f"{lines:,}")
    if expected is not None and found != expected:
        raise DataError(str(path), f"the contents of {SOURCE}{name} (sha256 {expected})", found)
    return found


def _expected_files() -> str:
    return "a folder with " + ", ".join(f"{name}[.gz]" for name in FILES)
