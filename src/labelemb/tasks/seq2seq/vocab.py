"""Vocabularies: words and their numbers, by frequency or from a file with one word a line."""

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
    """The words of one side, V of them; a word's number is its place.

    words  the four special tokens first: padding 0, unknown 1, begin 2, end 3
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.words[: len(SPECIAL)] == SPECIAL

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, words: Iterable[str]) -> "Vocabulary":
        """Put the special tokens in front of the words, in their order."""
        return cls((*SPECIAL, *(word for word in words if word not in SPECIAL)))

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], size: int = 0) -> "Vocabulary":
        """Take the most frequent words; of equally frequent ones the first by code point, whatever the text's order.

        counts  word -> how often
        size    most words, the special tokens among them; 0: no limit
        """
        by_frequency = sorted((word for word in counts if word not in SPECIAL), key=lambda word: (-counts[word], word))
        return cls.of(by_frequency[: max(size - len(SPECIAL), 0)] if size else by_frequency)

    @classmethod
    def read(cls, path: Path | str) -> "Vocabulary":
        """Read a file with one word a line; special tokens may stand anywhere in it, or be missing.

        Raises DataError, with the line number, for a line that is no word and for a word that stands there twice.
        """
        path = Path(path)
        numbers: dict[str, int] = {}
        for number, line in enumerate(read_lines(path), start=1):
            if len(line.split()) != 1:
                raise DataError(f"{path}, line {number}", "one word a line", repr(line))
            word = line.strip()
            if word in numbers:
                raise DataError(f"{path}, line {number}", "each word once", f"{word!r}, as on line {numbers[word]}")
            numbers[word] = number
        return cls.of(numbers)

    def write(self, path: Path | str) -> None:
        """Write one word a line, the special tokens first; ``read`` gives the same vocabulary back."""
        write_text(path, "".join(f"{word}\n" for word in self.words))

    def encode(self, words: Iterable[str]) -> list[int]:
        """Return the numbers of words; ``UNK`` for those that are not there and for special tokens in the text."""
        numbers = self._numbers
        return [numbers.get(word, UNK) for word in words]

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """Return the words of numbers."""
        return [self.words[number] for number in numbers]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Text cannot say "padding": the special tokens are left out."""
        return {word: number for number, word in enumerate(self.words) if number >= len(SPECIAL)}
