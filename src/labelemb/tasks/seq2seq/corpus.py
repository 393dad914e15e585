"""A prepared corpus on disk: integer arrays that are mapped into memory, vocabularies, and metadata as JSON.

FOLDER/
    metadata.json               options, counts, digest
    src.vocab  tgt.vocab        one word a line
    SPLIT.SIDE.ids              the numbers of all sentences, one after the other
    SPLIT.SIDE.spans            int64, (N, 2): where each sentence starts and stops in them
    valid.SIDE.txt test.SIDE.txt   the lines as they came, to score against
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelemb.errors import DataError
from labelemb.tasks.seq2seq.sentences import IntArray, Sentences, Split
from labelemb.tasks.seq2seq.text_io import read_lines
from labelemb.tasks.seq2seq.tokenizer import Tokenizer
from labelemb.tasks.seq2seq.vocab import Vocabulary

FORMAT = "labelemb.corpus.v1"
SIDES = ("src", "tgt")
SPANS_DTYPE = "<i8"
DTYPES = ("<u2", "<u4", SPANS_DTYPE)
OWN_FILES = re.compile(r"metadata\.json|(src|tgt)\.vocab|(train|valid|test)\.(src|tgt)\.(ids|spans|txt)")


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: splits by name ("train", "valid" and, where there is one, "test"), and how it was made."""

    splits: Mapping[str, Split]
    src_vocab: Vocabulary
    tgt_vocab: Vocabulary
    metadata: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Return 16 digits that identify the data behind a number."""
        return str(self.metadata["digest"])[:16]

    @property
    def note(self) -> str:
        """Return what a reader of the figures must know about the data, if anything."""
        return str(self.metadata["options"].get("note", ""))

    @property
    def tokenizer(self) -> Tokenizer:
        """Return how its lines became numbers."""
        options = self.metadata["options"]
        choices = {"by_character": options["char"], "lower": options["lower"], "shared": options["share"]}
        return Tokenizer(self.src_vocab, self.tgt_vocab, **choices)

    def in_memory(self) -> "Corpus":
        """Return the corpus without its folder: arrays instead of maps."""

        def copied(sentences: Sentences) -> Sentences:
            return Sentences(np.array(sentences.ids), np.array(sentences.spans))

        splits = {
            name: replace(split, src=copied(split.src), tgt=copied(split.tgt)) for name, split in self.splits.items()
        }
        return replace(self, splits=splits)

    @classmethod
    def open(cls, path: Path | str) -> "Corpus":
        """Map a folder that ``write_corpus`` made; PATH and PATH.train.pt stand for each other, as published.

        Raises DataError when there is none, or when a file in it is missing or cut short.
        """
        folder = find_corpus(path)
        metadata = read_metadata(folder)
        if metadata is None:
            raise DataError("data", "a prepared corpus of this version", folder, "labelemb preprocess makes one")
        vocabularies = {side: Vocabulary.read(folder / f"{side}.vocab") for side in SIDES}
        for side, words in metadata.get("words", {}).items():
            if len(vocabularies[side]) != words:
                raise DataError(str(folder / f"{side}.vocab"), f"{words} words", len(vocabularies[side]), _AGAIN)
        try:
            splits = {name: _open_split(folder, name, facts) for name, facts in metadata["splits"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            file, wanted = str(folder / "metadata.json"), "sizes and kinds of all files"
            raise DataError(file, wanted, repr(error), _AGAIN) from error
        return cls(splits, vocabularies["src"], vocabularies["tgt"], metadata)


def find_corpus(path: Path | str) -> Path:
    """Return the folder of a prepared corpus at PATH, or at PATH with or without ".train.pt".

    Raises DataError when it is nowhere.
    """
    name = str(path)
    for candidate in dict.fromkeys((name, name.removesuffix(".train.pt"), f"{name}.train.pt")):
        if (Path(candidate) / "metadata.json").is_file():
            return Path(candidate)
    raise DataError("data", "the folder of a prepared corpus", f"none at {name}", "labelemb preprocess makes one")


def read_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the metadata of a prepared corpus; None for whatever else is there."""
    try:
        content = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def _open_split(folder: Path, name: str, facts: Mapping[str, Any]) -> Split:
    sides = []
    for side in SIDES:
        ids = _map(folder / f"{name}.{side}.ids", facts[side]["dtype"], (facts[side]["tokens"],))
        spans = _map(folder / f"{name}.{side}.spans", SPANS_DTYPE, (facts["pairs"], 2))
        sides.append(Sentences(ids, spans))
    lines = [tuple(read_lines(folder / f"{name}.{side}.txt")) for side in SIDES] if name != "train" else [(), ()]
    for side, one in zip(SIDES, lines, strict=True):
        if name != "train" and len(one) != facts["pairs"]:
            raise DataError(str(folder / f"{name}.{side}.txt"), f"{facts['pairs']} lines", len(one), _AGAIN)
    return Split(sides[0], sides[1], lines[0], lines[1])


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> IntArray:
    if dtype not in DTYPES:  # a file of objects would be one of addresses in memory
        raise DataError(str(path), f"numbers of a kind in {', '.join(DTYPES)}", repr(dtype), _AGAIN)
    wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
    there = path.stat().st_size if path.is_file() else 0
    if there != wanted:
        raise DataError(str(path), f"{wanted} bytes", there, _AGAIN)
    if not wanted:  # nothing can be mapped to
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode="r", shape=shape)


_AGAIN = "Prepare the corpus again: labelemb preprocess"
