"""labelemb preprocess, and the published script, which is the same under single-dash option names."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelemb.cli.arguments import Parser, add_config
from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.corpus import SIDES
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, SplitCounts, check_destination, write_corpus
from labelemb.tasks.seq2seq.text_io import Pairs, is_lcsts, lcsts, parallel

SPLITS = ("train", "valid", "test")
FLAGS = ("lower", "char", "share")
LEAST_LABEL = 3  # of the human ratings of LCSTS: what validation and test sets are made of, as published
MOSTLY = 0.5  # more pairs than that left out is no detail any more
SESSION = """\
a session:
  $ labelemb preprocess --train_src mine.en.gz --train_tgt mine.vi.gz --valid_src tst2012.en --valid_tgt tst2012.vi \\
      --test_src tst2013.en --test_tgt tst2013.vi --lower --save_data data/mine
  train: 46,915 pairs of 50,557 (3,642 over src_length 50 or tgt_length 50), 798,669 src tokens (0.0 % unknown), ...
  $ labelemb preprocess --train_src PART_I.txt --valid_src PART_II.txt --test_src PART_III.txt \\
      --char --share --lower --src_length 0 --tgt_length 0 --save_data data/lcsts/lcsts.low.share   # LCSTS as it comes

  Each option may be written with one dash, too, as published: -train_src, -lower, -share.
"""


def preprocess(arguments: list[str], program: str = "labelemb preprocess") -> int:
    """Prepare the corpus that the arguments name; return the exit code."""
    chosen = _parser(program).parse(arguments)
    if not chosen.save_data:
        raise ConfigError("save_data", "a folder to write", "none")
    options = PreprocessOptions(**{field.name: getattr(chosen, field.name) for field in fields(PreprocessOptions)})
    folder = Path(chosen.save_data)
    check_destination(folder)
    sources = {name: _pairs(chosen, name) for name in SPLITS}
    present = {name: pairs for name, pairs in sources.items() if pairs is not None}

    def progress(split: str, pairs: int) -> None:
        if chosen.report_every and pairs % chosen.report_every == 0:
            print(f"{split}: {pairs:,} pairs", file=sys.stderr)

    counts = write_corpus(folder, present, options, progress)
    _tell(counts, options, folder)
    return 0


def _parser(program: str) -> Parser:
    parser = Parser(
        program,
        "Turn parallel text (UTF-8, a sentence a line, gzipped or plain) into a folder that trains. Nothing is "
        "half-written: the folder is there whole or not at all.",
        SESSION,
        usage=f"{program} --train_src FILE --train_tgt FILE --valid_src FILE --valid_tgt FILE --save_data DIR ...",
    )
    for split in SPLITS:
        for side, name in zip(SIDES, ("source", "target"), strict=True):
            what = f"{split} text, {name} side" + (", or a file of the LCSTS release" if side == "src" else "")
            parser.add_argument(*_names(f"{split}_{side}"), type=str, default=None, help=what)
    parser.add_argument(*_names("save_data"), type=str, default=None, help="folder to write")
    every = "say so on stderr every so many pairs; 0: never"
    parser.add_argument(*_names("report_every"), type=int, default=100_000, help=every)
    for flag, what in zip(FLAGS, ("lower-case", "characters as tokens, on both sides", "one vocabulary"), strict=True):
        parser.add_argument(*_names(flag), action="store_true", help=what)
    aliases = {field.name: f"-{field.name}" for field in fields(PreprocessOptions)}
    add_config(parser, PreprocessOptions, {}, skip=set(FLAGS), aliases=aliases)
    return parser


def _names(name: str) -> tuple[str, str]:
    return f"--{name}", f"-{name}"


def _pairs(chosen: Any, split: str) -> Pairs | None:
    """Return what the options of a split name; None for a test set that is not given."""
    source, target = getattr(chosen, f"{split}_src"), getattr(chosen, f"{split}_tgt")
    if not source and not target and split == "test":
        return None
    if not source:
        raise ConfigError(f"{split}_src", "a text file", "none")
    if target:
        return parallel(source, target)
    if not is_lcsts(source):
        raise ConfigError(f"{split}_tgt", f"a text file, since {source} is not in the LCSTS release format", "none")
    return lcsts(source, 0 if split == "train" else LEAST_LABEL)


def _tell(counts: Mapping[str, SplitCounts], options: PreprocessOptions, folder: Path) -> None:
    limits = f"over src_length {options.src_length} or tgt_length {options.tgt_length}"
    for name, count in counts.items():
        why = [f"{count.too_long:,} {limits}"] if count.too_long else []
        why += [f"{count.empty:,} with an empty side"] if count.empty else []
        read = f" of {count.read:,} ({'; '.join(why)})" if why else ""
        sides = []
        for side in SIDES:
            unknown = 100 * count.unknown[side] / max(count.tokens[side], 1)
            sides.append(f"{count.tokens[side]:,} {side} tokens ({unknown:.1f} % unknown)")
        print(f"{name}: {count.pairs:,} pairs{read}, {', '.join(sides)}")
    train = counts["train"]
    if train.too_long > MOSTLY * train.read:
        print(
            f"WARNING: {train.too_long:,} of {train.read:,} training pairs ({100 * train.too_long / train.read:.0f} %) "
            f"are LEFT OUT, {limits}. Almost certainly not what you want: raise them, or give 0 for no limit",
            file=sys.stderr,
        )
    print(f"Written to {folder}")
