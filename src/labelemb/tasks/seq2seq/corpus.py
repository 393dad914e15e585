"""A preprocessed corpus on disk: memory-mapped token ids, vocabularies, and metadata as JSON.

FOLDER/
    metadata.json                    preprocessing options, counts, digest
    src.vocab, tgt.vocab             one word per line
    SPLIT.SIDE.ids                   token ids of all sentences, concatenated
    SPLIT.SIDE.spans                 int64 (N, 2): start and end of each sentence in SPLIT.SIDE.ids
    valid.SIDE.txt, test.SIDE.txt    unmodified lines, the references for scoring

SPLIT is train, valid or test; SIDE is src or tgt.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NotRequired

import numpy as np
from pydantic import ConfigDict, NonNegativeInt, PositiveInt, with_config
from typing_extensions import TypedDict

from labelemb.documents import parse_json, read_bounded
from labelemb.errors import DataError
from labelemb.runs.schema import check_schema
from labelemb.tasks.seq2seq.sentences import IntArray, Sentences, Split
from labelemb.tasks.seq2seq.text_io import read_lines
from labelemb.tasks.seq2seq.tokenizer import Tokenizer
from labelemb.tasks.seq2seq.vocab import Vocabulary

FORMAT = "labelemb.corpus.v1"
SIDES = ("src", "tgt")
SPANS_DTYPE = "<i8"
CORPUS_FILES = re.compile(r"metadata\.json|(src|tgt)\.vocab|(train|valid|test)\.(src|tgt)\.(ids|spans|txt)")


@with_config(ConfigDict(extra="allow"))
class SideFacts(TypedDict):
    """Facts about a side of a split."""

    tokens: NonNegativeInt
    dtype: Literal["<u2", "<u4", "<i8"]


@with_config(ConfigDict(extra="allow"))
class SplitFacts(TypedDict):
    """Facts about a split."""

    pairs: PositiveInt
    src: SideFacts
    tgt: SideFacts


@with_config(ConfigDict(extra="allow"))
class Options(TypedDict):
    """How the text became numbers."""

    char: bool
    lower: bool
    share: bool
    note: NotRequired[str]


@with_config(ConfigDict(extra="allow"))
class Metadata(TypedDict):
    """The content of metadata.json."""

    options: Options
    words: dict[Literal["src", "tgt"], int]
    splits: dict[Literal["train", "valid", "test"], SplitFacts]
    digest: str


@dataclass(frozen=True)
class Corpus:
    """A preprocessed corpus.

    Attributes:
        splits: Split by name: ``train``, ``valid`` and optionally ``test``.
        src_vocab: Source vocabulary.
        tgt_vocab: Target vocabulary.
        metadata: Contents of ``metadata.json``: preprocessing options, counts and digest.
    """

    splits: Mapping[str, Split]
    src_vocab: Vocabulary
    tgt_vocab: Vocabulary
    metadata: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 digest of the files."""
        return str(self.metadata["digest"])[:16]

    @property
    def note(self) -> str:
        """Return the remark about the data that reports repeat, or an empty string."""
        return str(self.metadata["options"].get("note", ""))

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer that the corpus was preprocessed with."""
        options = self.metadata["options"]
        choices = {"by_character": options["char"], "lower": options["lower"], "shared": options["share"]}
        return Tokenizer(self.src_vocab, self.tgt_vocab, **choices)

    def in_memory(self) -> "Corpus":
        """Return a copy with arrays in memory, which does not need the folder."""

        def copied(sentences: Sentences) -> Sentences:
            return Sentences(np.array(sentences.ids), np.array(sentences.spans))

        splits = {
            name: replace(split, src=copied(split.src), tgt=copied(split.tgt)) for name, split in self.splits.items()
        }
        return replace(self, splits=splits)

    @classmethod
    def open(cls, path: Path | str) -> "Corpus":
        """Memory-map a corpus written by ``write_corpus``.

        Args:
            path: The folder, with or without the suffix ``.train.pt`` of the published program.

        Returns:
            The corpus.

        Raises:
            DataError: If the folder does not exist, or a file in it is missing or truncated.
        """
        folder = find_corpus(path)
        metadata = read_metadata(folder)
        if metadata is None:
            raise DataError(
                "data", "a preprocessed corpus of this version", folder, "Create one with labelemb preprocess"
            )
        vocabularies = {side: Vocabulary.read(folder / f"{side}.vocab") for side in SIDES}
        check_schema(folder / "metadata.json", Metadata, metadata)
        for side, words in metadata["words"].items():
            if len(vocabularies[side]) != words:
                raise DataError(str(folder / f"{side}.vocab"), f"{words} words", len(vocabularies[side]), _REMEDY)
        splits = {
            name: _open_split(folder, name, split, metadata["words"]) for name, split in metadata["splits"].items()
        }
        return cls(splits, vocabularies["src"], vocabularies["tgt"], metadata)


def find_corpus(path: Path | str) -> Path:
    """Find a preprocessed corpus.

    Args:
        path: The folder, with or without the suffix ``.train.pt`` of the published program.

    Returns:
        The existing folder.

    Raises:
        DataError: If there is no such folder.
    """
    name = str(path)
    for candidate in dict.fromkeys((name, name.removesuffix(".train.pt"), f"{name}.train.pt")):
        if (Path(candidate) / "metadata.json").is_file():
            return Path(candidate)
    raise DataError(
        "data", "the folder of a preprocessed corpus", f"none at {name}", "Create one with labelemb preprocess"
    )


def read_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the metadata of a preprocessed corpus, or None if ``folder`` is not one."""
    file, what = folder / "metadata.json", "facts about a preprocessed corpus"
    try:
        content = parse_json(read_bounded(file, what), str(file), what)
    except DataError:
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def _open_split(folder: Path, name: str, metadata: Mapping[str, Any], words: Mapping[str, int]) -> Split:
    sides = []
    for side in SIDES:
        ids = _memory_map(folder / f"{name}.{side}.ids", metadata[side]["dtype"], (metadata[side]["tokens"],))
        spans = _memory_map(folder / f"{name}.{side}.spans", SPANS_DTYPE, (metadata["pairs"], 2))
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < words[side]:
            raise DataError(str(folder / f"{name}.{side}.ids"), f"numbers below {words[side]}", "others", _REMEDY)
        if not (spans[:, 0] <= spans[:, 1]).all() or int(spans.min()) < 0 or int(spans.max()) > len(ids):
            raise DataError(str(folder / f"{name}.{side}.spans"), "starts and ends of sentences", "others", _REMEDY)
        sides.append(Sentences(ids, spans))
    lines = [tuple(read_lines(folder / f"{name}.{side}.txt")) for side in SIDES] if name != "train" else [(), ()]
    for side, side_lines in zip(SIDES, lines, strict=True):
        if name != "train" and len(side_lines) != metadata["pairs"]:
            raise DataError(str(folder / f"{name}.{side}.txt"), f"{metadata['pairs']} lines", len(side_lines), _REMEDY)
    return Split(sides[0], sides[1], lines[0], lines[1])


def _memory_map(path: Path, dtype: str, shape: tuple[int, ...]) -> IntArray:
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    found = path.stat().st_size if path.is_file() else 0
    if found != expected:
        raise DataError(str(path), f"{expected} bytes", found, _REMEDY)
    if not expected:  # an empty file cannot be memory-mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, mode="r", shape=shape)


_REMEDY = "Preprocess the corpus again with labelemb preprocess"
