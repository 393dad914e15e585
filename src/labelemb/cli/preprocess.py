"""``labelemb preprocess``: prepare parallel text for training."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.pipes import copy_pipes
from labelemb.cli.terminal import notice, show
from labelemb.errors import LARGEST_INT, ConfigError
from labelemb.tasks.seq2seq.corpus import SIDES
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, SplitCounts, check_destination, write_corpus
from labelemb.tasks.seq2seq.text_io import Pairs, is_lcsts, lcsts, parallel

SPLITS = {"train": "training", "valid": "validation", "test": "test"}  # in option names -> in words
FLAGS = {"lower": "lower-case", "char": "characters as tokens, on both sides", "share": "one vocabulary for both sides"}
MIN_RATING = 3  # human ratings of LCSTS: validation and test sets have the pairs from 3 up, as published
MOSTLY = 0.5  # share of left-out pairs above which the user is warned
SESSION = """\
examples:
  $ labelemb preprocess --train_src mine.en.gz --train_tgt mine.vi.gz --valid_src tst2012.en --valid_tgt tst2012.vi \\
      --test_src tst2013.en --test_tgt tst2013.vi --lower --save_data data/mine
  train: 46,915 pairs of 50,557 (3,642 over src_length 50 or tgt_length 50), 798,669 src tokens (0.0 % unknown), ...
  $ labelemb preprocess --train_src PART_I.txt --valid_src PART_II.txt --test_src PART_III.txt \\
      --char --share --lower --src_length 0 --tgt_length 0 --save_data data/lcsts/lcsts.low.share   # LCSTS as released
"""


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Prepare parallel text (UTF-8, one sentence per line, plain or gzipped) for training. Named pipes, such as "
        "bash's <(command), are read at the same time and once. The folder is written completely or not at all.",
        SESSION,
        usage="labelemb preprocess --train_src FILE --train_tgt FILE --valid_src FILE --valid_tgt FILE --save_data DIR",
    )
    for split, title in SPLITS.items():
        for side, name in zip(SIDES, ("source", "target"), strict=True):
            text = f"{title} text, {name} side" + (", or a file of the LCSTS release" if side == "src" else "")
            made.add_argument(f"--{split}_{side}", type=str, help=text)
    made.add_argument("--save_data", type=str, help="folder to write")
    every = "report progress on stderr every so many pairs; 0: never"
    made.add_argument("--report_every", type=int, default=100_000, help=every)
    for flag, text in FLAGS.items():
        made.add_argument(f"--{flag}", action="store_true", help=text)
    made.add_class_arguments(PreprocessOptions, as_group=False, skip=set(FLAGS))
    return made


def run(chosen: Any) -> int:
    """Prepare the corpus and print its counts."""
    if not chosen.save_data:
        raise ConfigError("save_data", "a folder to write", "none")
    if not 0 <= chosen.report_every <= LARGEST_INT:
        raise ConfigError("report_every", f"a whole number from 0 to {LARGEST_INT:,}", chosen.report_every)
    options = PreprocessOptions(**{field.name: getattr(chosen, field.name) for field in fields(PreprocessOptions)})
    folder = Path(chosen.save_data)
    check_destination(folder)

    def progress(split: str, pairs: int) -> None:
        if chosen.report_every and pairs % chosen.report_every == 0:
            notice(f"{split}: {pairs:,} pairs")

    with ExitStack() as stack:
        copy_pipes(chosen, [f"{split}_{side}" for split in SPLITS for side in SIDES], stack)  # texts are read twice
        sources = {name: _pairs(chosen, name) for name in SPLITS}
        present = {name: pairs for name, pairs in sources.items() if pairs is not None}
        counts = write_corpus(folder, present, options, progress)
    _print_counts(counts, options, folder)
    return 0


def _pairs(chosen: Any, split: str) -> Pairs | None:
    """Return the pairs of a split; None for a test set that is not given. Raises ConfigError."""
    source, target = getattr(chosen, f"{split}_src"), getattr(chosen, f"{split}_tgt")
    if not source and not target and split == "test":
        return None
    if not source:
        raise ConfigError(f"{split}_src", "a text file", "none")
    if target:
        return parallel(source, target)
    if not is_lcsts(source):
        raise ConfigError(f"{split}_tgt", f"a text file, since {source} is not in the LCSTS release format", "none")
    return lcsts(source, 0 if split == "train" else MIN_RATING)


def _print_counts(counts: Mapping[str, SplitCounts], options: PreprocessOptions, folder: Path) -> None:
    limits = f"over src_length {options.src_length} or tgt_length {options.tgt_length}"
    for name, count in counts.items():
        why = [f"{count.too_long:,} {limits}"] if count.too_long else []
        why += [f"{count.empty:,} with an empty side"] if count.empty else []
        read = f" of {count.read:,} ({'; '.join(why)})" if why else ""
        sides = []
        for side in SIDES:
            unknown = 100 * count.unknown[side] / max(count.tokens[side], 1)
            sides.append(f"{count.tokens[side]:,} {side} tokens ({unknown:.1f} % unknown)")
        show(f"{name}: {count.pairs:,} pairs{read}, {', '.join(sides)}")
    train = counts["train"]
    if train.too_long > MOSTLY * train.read:
        notice(
            f"WARNING: {train.too_long:,} of {train.read:,} training pairs ({100 * train.too_long / train.read:.0f} %) "
            f"are LEFT OUT, {limits}. Raise the limits, or give 0 for no limit"
        )
    show(f"Written to {folder}")


COMMAND = Command(parser, run)
