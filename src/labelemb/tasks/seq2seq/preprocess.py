"""Preprocess parallel text as a stream; only the word counts and one pair of lines are held in memory.

Shuffling needs 40 bytes per pair in addition, for spans and a permutation.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from labelemb.errors import Choices, ConfigError, DataError
from labelemb.files import write_text
from labelemb.runs.replace import replace_folder
from labelemb.tasks.seq2seq.corpus import CORPUS_FILES, FORMAT, SIDES, read_metadata
from labelemb.tasks.seq2seq.split_writer import SplitWriter, Tokens, ids_dtype, shuffle_pairs
from labelemb.tasks.seq2seq.text_io import Pairs, tokenize
from labelemb.tasks.seq2seq.vocab import SPECIAL, Vocabulary

Progress = Callable[[str, int], None]  # called after each pair as progress(split, pairs so far)


@dataclass(frozen=True)
class PreprocessOptions:
    """Options of tokenization, vocabularies and filtering.

    Args:
        lower: Whether to lower-case both sides.
        char: Whether tokens are the characters of both sides, without white space, rather than words separated by it.
        share: Whether both sides share one vocabulary.
        src_vocab_size: Maximum size of the source vocabulary, including the four special tokens; 0: no limit.
        tgt_vocab_size: Maximum size of the target vocabulary; must equal src_vocab_size if the vocabulary is shared.
        src_vocab: File with the source vocabulary, one word per line; null: take the most frequent training words.
        tgt_vocab: File with the target vocabulary, one word per line; null: take the most frequent training words.
        src_length: Maximum number of source tokens of a training pair, longer pairs are left out; 0: no limit.
        tgt_length: Maximum number of target tokens of a training pair, longer pairs are left out; 0: no limit.
        shuffle: 1: shuffle the training pairs; 0: keep their order.
        seed: Seed of the shuffling.
        note: Remark about the data, which reports show beside results.

    Raises:
        ConfigError: Naming every invalid option.
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
                expected = f"a whole number > {len(SPECIAL)} (the number of special tokens), or 0"
                choices.expect(value == 0 or value > len(SPECIAL), name, expected, value)
            for name in ("src_length", "tgt_length", "seed"):
                choices.expect(getattr(self, name) >= 0, name, "a whole number >= 0", getattr(self, name))
            choices.expect(self.shuffle in (0, 1), "shuffle", "0 or 1", self.shuffle)
            if self.share:
                sizes = (self.src_vocab_size, self.tgt_vocab_size)
                expected = f"{self.src_vocab_size} as src_vocab_size, with share"
                choices.expect(sizes[0] == sizes[1], "tgt_vocab_size", expected, sizes[1])
                files = {self.src_vocab, self.tgt_vocab} - {None}
                expected = "the file of src_vocab, with share"
                choices.expect(len(files) <= 1, "tgt_vocab", expected, repr(self.tgt_vocab))

    def tokens(self, line: str) -> Tokens:
        """Split a line into tokens."""
        # Lower-casing may change the number of characters, so it comes after splitting.
        tokens = tokenize(line, self.char)
        return tuple(token.lower() for token in tokens) if self.lower else tuple(tokens)


@dataclass
class SplitCounts:
    """Counts of a preprocessed split.

    Attributes:
        pairs: Number of pairs written.
        empty: Number of training pairs left out because a side is empty.
        too_long: Number of training pairs left out because a side exceeds its length limit.
        tokens: Number of tokens by side, ``src`` and ``tgt``.
        unknown: Number of tokens outside the vocabulary by side.
    """

    pairs: int = 0
    empty: int = 0
    too_long: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    unknown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))

    @property
    def read(self) -> int:
        """Return the number of pairs read."""
        return self.pairs + self.empty + self.too_long


def write_corpus(
    folder: Path | str, sources: Mapping[str, Pairs], options: PreprocessOptions, progress: Progress | None = None
) -> dict[str, SplitCounts]:
    """Preprocess a corpus; the folder is written completely or not at all.

    Training pairs with an empty side or over the length limits are left out and counted; other splits keep all pairs.

    Args:
        folder: Destination.
        sources: Sentence pairs by split: ``train``, ``valid`` and optionally ``test``. Each is read once, ``train``
            twice if a vocabulary is built from it.
        options: Preprocessing options.
        progress: Called after each pair.

    Returns:
        Counts by split.

    Raises:
        DataError: If the text cannot be read, a split has no pairs left, or a vocabulary file contains less than half
            of the training tokens.
        ConfigError: If ``folder`` holds anything but a preprocessed corpus.
    """
    folder = Path(folder)
    check_destination(folder)
    report = progress or (lambda split, pairs: None)
    vocabularies = _vocabularies(sources["train"], options, report)
    with replace_folder(folder) as new_folder:
        for side, vocabulary in zip(SIDES, vocabularies, strict=True):
            vocabulary.write(new_folder / f"{side}.vocab")
        counts = {}
        for name, pairs in sources.items():
            counts[name] = _write_split(new_folder, name, pairs, vocabularies, options, report)
            _check_counts(name, counts[name], options)
        splits = {name: _split_metadata(counts[name], vocabularies) for name in counts}
        words = {side: len(vocabulary) for side, vocabulary in zip(SIDES, vocabularies, strict=True)}
        metadata = {"format": FORMAT, "options": asdict(options), "words": words, "splits": splits}
        metadata["digest"] = _digest(new_folder)
        write_text(new_folder / "metadata.json", json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
    return counts


def check_destination(folder: Path) -> None:
    """Check that a folder can be written.

    Args:
        folder: Folder that does not exist, is empty, or holds only a preprocessed corpus, which would be replaced.

    Raises:
        ConfigError: If anything else is there.
    """
    expected = "a new folder, or that of a preprocessed corpus to replace"
    replaceable = folder.is_dir() and (not any(folder.iterdir()) or read_metadata(folder) is not None)
    if (folder.exists() or folder.is_symlink()) and not replaceable:
        raise ConfigError("save_data", expected, f"{folder}, which exists")
    files = sorted(file.name for file in folder.iterdir()) if replaceable else []
    if others := [name for name in files if not CORPUS_FILES.fullmatch(name)]:
        raise ConfigError("save_data", expected, f"{folder}, which also holds {others[0]}")


def _vocabularies(train: Pairs, options: PreprocessOptions, report: Progress) -> tuple[Vocabulary, Vocabulary]:
    """Read vocabularies from the given files and build the others from the training pairs."""
    files = {"src": options.src_vocab, "tgt": options.tgt_vocab}
    if options.share:
        files = dict.fromkeys(SIDES, options.src_vocab or options.tgt_vocab)
    given = {side: Vocabulary.read(file) for side, file in files.items() if file}
    counters: dict[str, Counter[str]] = {side: Counter() for side in SIDES if side not in given}
    if counters:
        for number, pair in enumerate(_training_pairs(train, options, SplitCounts()), start=1):
            report("vocabulary", number)
            for side, tokens in zip(SIDES, pair, strict=True):
                if side in counters:
                    counters[side].update(tokens)
    if options.share and counters:
        total = counters["src"] + counters["tgt"]
        counters = dict.fromkeys(SIDES, total)
    sizes = {"src": options.src_vocab_size, "tgt": options.tgt_vocab_size}
    counted = {side: Vocabulary.of_counts(counter, sizes[side]) for side, counter in counters.items()}
    vocabularies = given | counted
    return vocabularies["src"], vocabularies["tgt"]


def _training_pairs(pairs: Pairs, options: PreprocessOptions, counts: SplitCounts) -> Iterator[tuple[Tokens, Tokens]]:
    """Yield the tokens of the training pairs to keep; count the others."""
    limits = [limit or float("inf") for limit in (options.src_length, options.tgt_length)]
    for source, target in pairs():
        pair = options.tokens(source), options.tokens(target)
        if not all(pair):
            counts.empty += 1
        elif any(len(tokens) > limit for tokens, limit in zip(pair, limits, strict=True)):
            counts.too_long += 1
        else:
            yield pair


def _write_split(
    folder: Path,
    name: str,
    pairs: Pairs,
    vocabularies: tuple[Vocabulary, Vocabulary],
    options: PreprocessOptions,
    report: Progress,
) -> SplitCounts:
    counts = SplitCounts()
    writers = [
        SplitWriter(folder, name, side, vocabulary) for side, vocabulary in zip(SIDES, vocabularies, strict=True)
    ]
    try:
        for tokens, lines in _tokenized_pairs(name, pairs, options, counts):
            counts.pairs += 1
            report(name, counts.pairs)
            for writer, sentence, line in zip(writers, tokens, lines, strict=True):
                writer.add(sentence, line)
    finally:
        for writer in writers:
            writer.close()
    for side, writer in zip(SIDES, writers, strict=True):
        counts.tokens[side], counts.unknown[side] = writer.tokens, writer.unknown
    if name == "train" and options.shuffle:
        shuffle_pairs(folder, counts.pairs, options.seed)
    return counts


def _tokenized_pairs(
    name: str, pairs: Pairs, options: PreprocessOptions, counts: SplitCounts
) -> Iterator[tuple[tuple[Tokens, Tokens], tuple[str | None, str | None]]]:
    """Yield the tokens of both sides and their lines; the lines of training pairs are None."""
    if name == "train":
        for pair in _training_pairs(pairs, options, counts):
            yield pair, (None, None)
    else:
        for source, target in pairs():
            yield (options.tokens(source), options.tokens(target)), (source, target)


def _check_counts(name: str, counts: SplitCounts, options: PreprocessOptions) -> None:
    if name != "train":
        if not counts.pairs:
            raise DataError(name, "pairs of sentences", "none with a sufficient human_label")
        return
    if not counts.pairs:
        got = f"{counts.too_long} longer pairs and {counts.empty} with an empty side"
        limits = f"src_length {options.src_length} and tgt_length {options.tgt_length}"
        raise DataError("train", f"pairs within {limits}", got, "0 disables a limit")
    for side, file in zip(SIDES, (options.src_vocab, options.tgt_vocab), strict=True):
        known = 1 - counts.unknown[side] / counts.tokens[side]
        if file and known < 0.5:
            expected = f"a vocabulary of the training text ({side} side)"
            raise DataError(f"{side}_vocab", expected, f"{file}, which has {100 * known:.1f} % of its tokens")


def _split_metadata(counts: SplitCounts, vocabularies: tuple[Vocabulary, Vocabulary]) -> dict[str, Any]:
    sides = {
        side: {"tokens": counts.tokens[side], "unknown": counts.unknown[side], "dtype": ids_dtype(vocabulary)}
        for side, vocabulary in zip(SIDES, vocabularies, strict=True)
    }
    return {"pairs": counts.pairs, "empty": counts.empty, "too_long": counts.too_long, **sides}


def _digest(folder: Path) -> str:
    """Return the SHA-256 digest of the names and contents of all files."""
    sha = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            sha.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()
