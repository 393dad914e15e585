"""Text to a prepared corpus, streaming: in memory are the word counts and one pair of lines.

To shuffle takes 40 bytes a pair besides: where its sentences are, and an order.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from labelemb.errors import Choices, ConfigError, DataError
from labelemb.files import write_text
from labelemb.runs.replace import replace_folder
from labelemb.tasks.seq2seq.corpus import FORMAT, OWN_FILES, SIDES, SPANS_DTYPE, read_metadata
from labelemb.tasks.seq2seq.text_io import Pairs, tokenize
from labelemb.tasks.seq2seq.vocab import SPECIAL, UNK, Vocabulary

Tokens = tuple[str, ...]
Progress = Callable[[str, int], None]  # (split, pairs so far), called once per pair


@dataclass(frozen=True)
class PreprocessOptions:
    """How text becomes numbers.

    lower           lower-case both sides
    char            tokens are characters, on both sides, and white space is none; else words, white space between them
    share           one vocabulary for both sides
    src_vocab_size  most source words in the vocabulary, the four special tokens among them; 0: no limit
    tgt_vocab_size  likewise on the target side; equal to src_vocab_size with share
    src_vocab       file with the source vocabulary, one word a line, instead of counting
    tgt_vocab       likewise on the target side
    src_length      training pairs whose source has more tokens are left out; 0: no limit
    tgt_length      likewise on the target side; validation and test pairs always stay
    shuffle         1: the training pairs are put in random order; 0: they stay in theirs
    seed            of that order
    note            what a reader of the figures must know about the data; the report repeats it beside them
    """

    lower: bool = False
    char: bool = False
    share: bool = False
    src_vocab_size: int = 50_000
    tgt_vocab_size: int = 50_000
    src_vocab: str | None = None
    tgt_vocab: str | None = None
    src_length: int = 50
    tgt_length: int = 50
    shuffle: int = 0
    seed: int = 3435
    note: str = ""

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            for name in ("src_vocab_size", "tgt_vocab_size"):
                value = getattr(self, name)
                expected = f"a whole number > {len(SPECIAL)}, the special tokens, or 0"
                choices.expect(value == 0 or value > len(SPECIAL), name, expected, value)
            for name in ("src_length", "tgt_length", "seed"):
                choices.expect(getattr(self, name) >= 0, name, "a whole number >= 0", getattr(self, name))
            choices.expect(self.shuffle in (0, 1), "shuffle", "0 or 1", self.shuffle)
            if self.share:
                sizes = (self.src_vocab_size, self.tgt_vocab_size)
                same = f"{self.src_vocab_size} as src_vocab_size, with share"
                choices.expect(sizes[0] == sizes[1], "tgt_vocab_size", same, sizes[1])
                given = {self.src_vocab, self.tgt_vocab} - {None}
                one = "the file of src_vocab, with share"
                choices.expect(len(given) <= 1, "tgt_vocab", one, repr(self.tgt_vocab))

    def tokens(self, line: str) -> Tokens:
        """Cut a line into tokens. Case is changed afterwards: it may change how many characters there are."""
        tokens = tokenize(line, self.char)
        return tuple(token.lower() for token in tokens) if self.lower else tuple(tokens)


@dataclass
class SplitCounts:
    """What went into a split, and what did not."""

    pairs: int = 0
    empty: int = 0
    too_long: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    unknown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))

    @property
    def read(self) -> int:
        """Return how many pairs were read."""
        return self.pairs + self.empty + self.too_long


def write_corpus(
    folder: Path | str, sources: Mapping[str, Pairs], options: PreprocessOptions, progress: Progress | None = None
) -> dict[str, SplitCounts]:
    """Prepare a corpus in ``folder``, whole or not at all; return what went into each split.

    sources   "train", "valid" and, where there is one, "test"; each is read once, "train" twice when it is counted
    progress  called for every pair

    Of the training pairs those with an empty side and those over the length limits are left out and counted.

    Raises DataError for input that cannot be used (see ``reading``), for training data of which nothing is left, and
    for a vocabulary file that does not know half of the training text; ConfigError when ``folder`` is in use.
    """
    folder = Path(folder)
    check_destination(folder)
    note = progress or (lambda split, pairs: None)
    vocabularies = _vocabularies(sources["train"], options, note)
    with replace_folder(folder) as filled:
        for side, vocabulary in zip(SIDES, vocabularies, strict=True):
            vocabulary.write(filled / f"{side}.vocab")
        counts = {}
        for name, pairs in sources.items():
            counts[name] = _write_split(filled, name, pairs, vocabularies, options, note)
            _check(name, counts[name], options)
        facts = {name: _facts(filled, name, counts[name], vocabularies) for name in counts}
        words = {side: len(vocabulary) for side, vocabulary in zip(SIDES, vocabularies, strict=True)}
        about = {"format": FORMAT, "options": asdict(options), "words": words, "splits": facts}
        metadata = about | {"digest": _digest(filled)}
        write_text(filled / "metadata.json", json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
    return counts


def check_destination(folder: Path) -> None:
    """Raise ConfigError unless nothing, an empty folder or an older corpus alone, which is replaced, is there."""
    wanted = "a place for a new folder, or an older prepared corpus"
    replaceable = folder.is_dir() and (not any(folder.iterdir()) or read_metadata(folder) is not None)
    if (folder.exists() or folder.is_symlink()) and not replaceable:
        raise ConfigError("save_data", wanted, f"{folder}, in use")
    others = sorted(file.name for file in folder.iterdir() if not OWN_FILES.fullmatch(file.name)) if replaceable else []
    if others:
        raise ConfigError("save_data", f"{wanted} and nothing else", f"{folder}, with {others[0]} in it")


def _vocabularies(train: Pairs, options: PreprocessOptions, note: Progress) -> tuple[Vocabulary, Vocabulary]:
    """Read the vocabularies from their files, and count what has none."""
    files = {"src": options.src_vocab, "tgt": options.tgt_vocab}
    if options.share:
        files = dict.fromkeys(SIDES, options.src_vocab or options.tgt_vocab)
    read = {side: Vocabulary.read(file) for side, file in files.items() if file}
    counters: dict[str, Counter[str]] = {side: Counter() for side in SIDES if side not in read}
    if counters:
        for number, pair in enumerate(_training_pairs(train, options, SplitCounts()), start=1):
            note("vocabulary", number)
            for side, tokens in zip(SIDES, pair, strict=True):
                if side in counters:
                    counters[side].update(tokens)
    if options.share and counters:
        total = counters["src"] + counters["tgt"]
        counters = dict.fromkeys(SIDES, total)
    sizes = {"src": options.src_vocab_size, "tgt": options.tgt_vocab_size}
    counted = {side: Vocabulary.of_counts(counter, sizes[side]) for side, counter in counters.items()}
    both = read | counted
    return both["src"], both["tgt"]


def _training_pairs(pairs: Pairs, options: PreprocessOptions, counts: SplitCounts) -> Iterator[tuple[Tokens, Tokens]]:
    """Yield the training pairs that stay, and count the others."""
    limits = [limit or float("inf") for limit in (options.src_length, options.tgt_length)]
    for source, target in pairs():
        pair = options.tokens(source), options.tokens(target)
        if not all(pair):
            counts.empty += 1
        elif any(len(tokens) > limit for tokens, limit in zip(pair, limits, strict=True)):
            counts.too_long += 1
        else:
            yield pair


class _SplitWriter:
    """The open files of one side of a split."""

    def __init__(self, folder: Path, name: str, side: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.ids: BinaryIO = (folder / f"{name}.{side}.ids").open("wb")
        self.spans: BinaryIO = (folder / f"{name}.{side}.spans").open("wb")
        self.lines: TextIO | None = None
        if name != "train":
            self.lines = (folder / f"{name}.{side}.txt").open("w", encoding="utf-8", newline="\n")
        self.dtype = ids_dtype(vocabulary)
        self.tokens = self.unknown = 0

    def add(self, tokens: Tokens, line: str | None) -> None:
        ids = self.vocabulary.encode(tokens)
        self.ids.write(np.asarray(ids, self.dtype).tobytes())
        self.spans.write(np.asarray([self.tokens, self.tokens + len(ids)], SPANS_DTYPE).tobytes())
        self.tokens += len(ids)
        self.unknown += ids.count(UNK)
        if self.lines is not None:
            self.lines.write(f"{line}\n")

    def close(self) -> None:
        for file in (self.ids, self.spans, self.lines):
            if file is not None:
                file.close()


def _write_split(
    folder: Path,
    name: str,
    pairs: Pairs,
    vocabularies: tuple[Vocabulary, Vocabulary],
    options: PreprocessOptions,
    note: Progress,
) -> SplitCounts:
    counts = SplitCounts()
    writers = [_SplitWriter(folder, name, *both) for both in zip(SIDES, vocabularies, strict=True)]
    try:
        for tokens, lines in _numbered(name, pairs, options, counts):
            counts.pairs += 1
            note(name, counts.pairs)
            for writer, sentence, line in zip(writers, tokens, lines, strict=True):
                writer.add(sentence, line)
    finally:
        for writer in writers:
            writer.close()
    for side, writer in zip(SIDES, writers, strict=True):
        counts.tokens[side], counts.unknown[side] = writer.tokens, writer.unknown
    if name == "train" and options.shuffle:
        _shuffle(folder, counts.pairs, options.seed)
    return counts


def _numbered(
    name: str, pairs: Pairs, options: PreprocessOptions, counts: SplitCounts
) -> Iterator[tuple[tuple[Tokens, Tokens], tuple[str | None, str | None]]]:
    """Yield tokens, and for all but training the lines as they came."""
    if name == "train":
        for pair in _training_pairs(pairs, options, counts):
            yield pair, (None, None)
    else:
        for source, target in pairs():
            yield (options.tokens(source), options.tokens(target)), (source, target)


def _shuffle(folder: Path, pairs: int, seed: int) -> None:
    """Put the spans of the training pairs in another order; the sentences themselves stay where they are."""
    order = np.random.default_rng(seed).permutation(pairs)
    for side in SIDES:
        file = folder / f"train.{side}.spans"
        spans = np.fromfile(file, SPANS_DTYPE).reshape(-1, 2)
        spans[order].tofile(file)


def _check(name: str, counts: SplitCounts, options: PreprocessOptions) -> None:
    if name != "train":
        if not counts.pairs:
            raise DataError(name, "pairs of sentences", "none that is good enough (human_label)")
        return
    if not counts.pairs:
        got = f"{counts.too_long} pairs over it and {counts.empty} with an empty side"
        limits = f"src_length {options.src_length} and tgt_length {options.tgt_length}"
        raise DataError("train", f"pairs within {limits}", got, "0 stands for no limit")
    for side, file in zip(SIDES, (options.src_vocab, options.tgt_vocab), strict=True):
        known = 1 - counts.unknown[side] / counts.tokens[side]
        if file and known < 0.5:
            expected = f"a vocabulary of the training text ({side} side)"
            raise DataError(f"{side}_vocab", expected, f"{file}, which knows {100 * known:.1f} % of its tokens")


def ids_dtype(vocabulary: Vocabulary) -> str:
    """Return the smallest unsigned dtype that holds every number, little-endian: "<u2" or "<u4"."""
    return "<u2" if len(vocabulary) <= 1 << 16 else "<u4"


def _facts(folder: Path, name: str, counts: SplitCounts, vocabularies: tuple[Vocabulary, Vocabulary]) -> dict[str, Any]:
    sides = {
        side: {"tokens": counts.tokens[side], "unknown": counts.unknown[side], "dtype": ids_dtype(vocabulary)}
        for side, vocabulary in zip(SIDES, vocabularies, strict=True)
    }
    return {"pairs": counts.pairs, "empty": counts.empty, "too_long": counts.too_long, **sides}


def _digest(folder: Path) -> str:
    """Return a sha256 over names and contents of all files."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
