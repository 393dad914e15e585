"""Vocabularies, built from word counts or read from a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.tasks.seq2seq.text_io import read_lines

PAD, UNK, BOS, EOS = range(4)
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")


@dataclass(frozen=True)
class Vocabulary:
    """V words; the token id of a word is its index.

    Args:
        words: The words; the first four are the special tokens ``SPECIAL``, with the ids PAD, UNK, BOS and EOS.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.words[: len(SPECIAL)] == SPECIAL

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, words: Iterable[str]) -> "Vocabulary":
        """Return the vocabulary of the special tokens followed by ``words`` in their order."""
        return cls((*SPECIAL, *(word for word in words if word not in SPECIAL)))

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], size: int = 0) -> "Vocabulary":
        """Return the vocabulary of the most frequent words; ties are broken by code point.

        Args:
            counts: Number of occurrences by word.
            size: Maximum number of words, including the special tokens; 0: no limit.

        Returns:
            The vocabulary.
        """
        by_frequency = sorted((word for word in counts if word not in SPECIAL), key=lambda word: (-counts[word], word))
        return cls.of(by_frequency[: max(size - len(SPECIAL), 0)] if size else by_frequency)

    @classmethod
    def read(cls, path: Path | str) -> "Vocabulary":
        """Read a file with one word per line; special tokens may be anywhere in it or missing.

        Args:
            path: The file.

        Returns:
            The vocabulary.

        Raises:
            DataError: If a line is not a single word, or a word occurs twice.
        """
        path = Path(path)
        line_numbers: dict[str, int] = {}
        for number, line in enumerate(read_lines(path), start=1):
            if len(line.split()) != 1:
                raise DataError(f"{path}, line {number}", "one word per line", repr(line))
            word = line.strip()
            if word in line_numbers:
                raise DataError(
                    f"{path}, line {number}", "each word once", f"{word!r}, as on line {line_numbers[word]}"
                )
            line_numbers[word] = number
        return cls.of(line_numbers)

    def write(self, path: Path | str) -> None:
        """Write one word per line, the special tokens first; ``read`` restores the vocabulary."""
        write_text(path, "".join(f"{word}\n" for word in self.words))

    def encode(self, words: Iterable[str]) -> list[int]:
        """Return the token ids of words; ``UNK`` for unknown words and for special tokens in the text."""
        ids = self._ids
        return [ids.get(word, UNK) for word in words]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Return the words of token ids."""
        return [self.words[token] for token in ids]

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Token ids without the special tokens, so that "<pad>" in the text is an unknown word, not padding."""
        return {word: token for token, word in enumerate(self.words) if token >= len(SPECIAL)}
