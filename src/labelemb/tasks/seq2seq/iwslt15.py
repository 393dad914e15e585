"""IWSLT15 English-Vietnamese as the Stanford NLP group offers it: tokenised, a sentence a line. Luong, Manning 2015."""

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
# sha256 of the contents, gzipped or not. The training files are known by the number of their lines alone.
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
# How each of the names is prepared: as published; cased, with the vocabularies that come with it; for a CPU.
NAMES = {
    "iwslt15-en-vi": PreprocessOptions(lower=True),
    "iwslt15-en-vi-cased": PreprocessOptions(src_vocab="vocab.en", tgt_vocab="vocab.vi"),
    "iwslt15-en-vi-small": PreprocessOptions(src_vocab_size=6_000, tgt_vocab_size=3_000, src_length=40),
}


def load_iwslt15(name: str, folder: Path | None) -> Corpus:
    """Return the corpus, prepared as ``NAMES`` says, and kept in the cache for the next time.

    folder  with the files, or with iwslt15-en-vi/ in it; None: they are downloaded once

    Raises DataError for files that are missing or not those of Stanford: nothing else stands in for them.
    """
    files = {file: _find(file, folder) if folder is not None else _download(file) for file in FILES}
    digests = {file: _checked(file, path) for file, path in files.items()}
    options = NAMES[name]
    key = hashlib.sha256(json.dumps([FORMAT, digests, asdict(options)]).encode()).hexdigest()[:24]
    place = cache_folder() / "corpora" / f"{name}-{key}"
    if read_metadata(place) is None:
        try:
            _prepare(place, files, options)
        except OSError:  # a full or read-only disk is no reason not to train
            with TemporaryDirectory() as temporary:
                _prepare(Path(temporary) / name, files, options)
                return Corpus.open(Path(temporary) / name).in_memory()
    return Corpus.open(place)


def _prepare(place: Path, files: Mapping[str, Path], options: PreprocessOptions) -> None:
    pairs = {split: parallel(files[f"{name}.en"], files[f"{name}.vi"]) for split, name in SPLITS.items()}
    if options.src_vocab and options.tgt_vocab:
        source, target = str(files[options.src_vocab]), str(files[options.tgt_vocab])
        options = replace(options, src_vocab=source, tgt_vocab=target)
    write_corpus(place, pairs, options)


def _find(name: str, folder: Path) -> Path:
    for place in (folder, folder / "iwslt15-en-vi"):
        for file in (place / name, place / f"{name}.gz"):
            if file.is_file():
                return file
    raise DataError("data", _wanted(), f"no {name}[.gz] in {folder} or {folder / 'iwslt15-en-vi'}", f"From {SOURCE}")


def _download(name: str) -> Path:
    digest = FILES[name]
    return fetch(SOURCE, name, f"sha256:{digest}" if digest else None, "iwslt15-en-vi", _wanted())


def _checked(name: str, path: Path) -> str:
    """Return the sha256 of the contents of a file that is what it should be."""
    total, lines = hashlib.sha256(), 0
    for line in read_lines(path):
        total.update(f"{line}\n".encode())
        lines += 1
    wanted, found = FILES[name], total.hexdigest()
    if wanted is None and lines != TRAIN_LINES:
        raise DataError(str(path), f"{TRAIN_LINES:,} lines, as {name} of {SOURCE} has", f"{lines:,}")
    if wanted is not None and found != wanted:
        raise DataError(str(path), f"the contents of {SOURCE}{name} (sha256 {wanted})", found)
    return found


def _wanted() -> str:
    return "a folder with " + ", ".join(f"{name}[.gz]" for name in FILES)
