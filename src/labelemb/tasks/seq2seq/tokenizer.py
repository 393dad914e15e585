"""How lines become numbers and numbers lines: what a trained model must know about its text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.tasks.seq2seq.sentences import Sentences
from labelemb.tasks.seq2seq.text_io import tokenize
from labelemb.tasks.seq2seq.vocab import Vocabulary


@dataclass(frozen=True)
class Tokenizer:
    """Source and target vocabularies with the tokenization options.

    by_character  tokens are characters rather than words
    lower         text is lower-cased before it is looked up
    shared        both sides have one vocabulary
    """

    src_vocab: Vocabulary
    tgt_vocab: Vocabulary
    by_character: bool = False
    lower: bool = False
    shared: bool = False

    def tokenize(self, line: str) -> list[str]:
        """Split a line into tokens, preserving case."""
        return tokenize(line, self.by_character)

    def join(self, tokens: Sequence[str]) -> str:
        """Make a line of tokens."""
        return ("" if self.by_character else " ").join(tokens)

    def source(self, lines: Sequence[str]) -> Sentences:
        """Return the numbers of source lines."""
        return self._numbers(lines, self.src_vocab)

    def target(self, lines: Sequence[str]) -> Sentences:
        """Return the numbers of target lines."""
        return self._numbers(lines, self.tgt_vocab)

    def write(self, folder: Path) -> None:
        """Leave it in a run folder: data.json, src.vocab, tgt.vocab; each whole or not at all, data.json last."""
        self.src_vocab.write(folder / "src.vocab")
        self.tgt_vocab.write(folder / "tgt.vocab")
        facts = {"by_character": self.by_character, "lower": self.lower, "shared": self.shared}
        write_text(folder / "data.json", json.dumps(facts) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Tokenizer":
        """Read what ``write`` wrote. Raises DataError."""
        file = folder / "data.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            facts = {name: bool(content[name]) for name in ("by_character", "lower", "shared")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = "what a trained language model knows about its text"
            raise DataError(str(file), what, getattr(error, "strerror", None) or repr(error)) from error
        return cls(Vocabulary.read(folder / "src.vocab"), Vocabulary.read(folder / "tgt.vocab"), **facts)

    def _numbers(self, lines: Sequence[str], vocabulary: Vocabulary) -> Sentences:
        rows = [vocabulary.encode(t.lower() if self.lower else t for t in self.tokenize(line)) for line in lines]
        ends = np.cumsum([0, *map(len, rows)])
        ids = np.asarray([number for row in rows for number in row], np.int64)
        return Sentences(ids, np.stack([ends[:-1], ends[1:]], axis=1))
