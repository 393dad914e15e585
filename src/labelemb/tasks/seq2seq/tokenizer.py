"""Convert between text lines and token ids."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelemb.documents import parse_json, read_bounded
from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.tasks.seq2seq.sentences import Sentences
from labelemb.tasks.seq2seq.text_io import tokenize
from labelemb.tasks.seq2seq.vocab import Vocabulary

FACTS = ("by_character", "lower", "shared")


@dataclass(frozen=True)
class Tokenizer:
    """Vocabularies of both sides with the tokenization options.

    Args:
        src_vocab: Source vocabulary.
        tgt_vocab: Target vocabulary.
        by_character: Whether tokens are characters rather than words.
        lower: Whether tokens are lower-cased before they are looked up.
        shared: Whether both sides share one vocabulary.
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
        """Join tokens into a line."""
        return ("" if self.by_character else " ").join(tokens)

    def source(self, lines: Sequence[str]) -> Sentences:
        """Return the token ids of source lines."""
        return self._encode(lines, self.src_vocab)

    def target(self, lines: Sequence[str]) -> Sentences:
        """Return the token ids of target lines."""
        return self._encode(lines, self.tgt_vocab)

    def write(self, folder: Path) -> None:
        """Write src.vocab, tgt.vocab and, last, data.json; each file is written completely or not at all."""
        self.src_vocab.write(folder / "src.vocab")
        self.tgt_vocab.write(folder / "tgt.vocab")
        options = {"by_character": self.by_character, "lower": self.lower, "shared": self.shared}
        write_text(folder / "data.json", json.dumps(options) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Tokenizer":
        """Read the files that ``write`` wrote.

        Raises:
            DataError: If a file is missing or damaged.
        """
        file = folder / "data.json"
        what = "the tokenization options of a trained model"
        content = parse_json(read_bounded(file, what), str(file), what)
        if not isinstance(content, dict) or not all(isinstance(content.get(name), bool) for name in FACTS):
            raise DataError(str(file), f"{what}: {', '.join(FACTS)}, each true or false", content)
        options = {name: content[name] for name in FACTS}
        return cls(Vocabulary.read(folder / "src.vocab"), Vocabulary.read(folder / "tgt.vocab"), **options)

    def _encode(self, lines: Sequence[str], vocabulary: Vocabulary) -> Sentences:
        rows = [
            vocabulary.encode(token.lower() if self.lower else token for token in self.tokenize(line)) for line in lines
        ]
        ends = np.cumsum([0, *map(len, rows)])
        ids = np.asarray([token for row in rows for token in row], np.int64)
        return Sentences(ids, np.stack([ends[:-1], ends[1:]], axis=1))
