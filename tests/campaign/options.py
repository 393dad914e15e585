"""Values that an option does not expect, for every option of every command."""

import random
from argparse import Action
from pathlib import Path

from labelemb.cli.main import COMMANDS as VERBS
from labelemb.cli.main import _command
from tests.campaign.material import COMMANDS, DIGITS, GIVEN, PAIRS, SMALL, WORDS
from tests.campaign.trial import command, files_in, problem_of

VALUES = [
    *("0", "-1", "1", "2", "1e999", "-1e999", "nan", "inf", "9" * 23, "1e-400", "0.5", "1e6", "1" * 5000, "0x1"),
    *("text", "", " ", "null", "true", "[]", "{a: b}", "a,b", "a=b", ",", "\x1b[2J", "\u202e", "é", "\udcff"),
    *(".", "/", "/dev/null", "/dev/full", "words.csv", "images", "runs", "nowhere/file", "x" * 300, "../..", "~"),
]
# Each command may also be given the options of these.
STARTS = {
    **{name: line for name, line in COMMANDS.items() if " " not in name},
    "train text": ["train", *WORDS, "--out=new"],
    "train pairs": ["train", *PAIRS, "--out=new"],
    "train url": COMMANDS["train url"],
    "predict text": COMMANDS["predict text"],
    "evaluate pairs": COMMANDS["evaluate pairs"],
    "demo": ["demo", "--epochs=0"],
    "compare several": [
        *("compare", "digits,digits", *SMALL, "--out=runs", "--seeds=2", "--method=cross_entropy,label_embedding")
    ],
    "compare auto": [
        *("compare", *DIGITS, "--out=runs", "--method=cross_entropy,label_embedding"),
        *("--seeds=auto", "--within=50", "--budget=6"),
    ],
    "compare": ["compare", *DIGITS, "--out=runs", "--seed=0", "--method=cross_entropy,label_embedding"],
}
assert {name.split()[0] for name in STARTS} == set(VERBS)


def options_of(line: list[str]) -> list[Action]:
    """Return the options of a command that take a value."""
    parser = _command(line[0]).parser([line[1].partition(",")[0], *line[2:]] if line[1:] else [])
    return [action for action in parser._actions if action.option_strings and action.nargs != 0]


def options(place: Path, draw: random.Random) -> tuple[str, str]:
    """Give one or two options of a command a value that they may not expect."""
    name = draw.choice(list(STARTS))
    line = list(STARTS[name])
    known = options_of(line)
    names = [draw.choice(known).option_strings[-1] for _ in range(draw.choice([1, 1, 1, 2]))] if known else []
    extra = [f"{option}={draw.choice(VALUES)}" for option in names]
    if draw.random() < 0.1 or not extra:
        extra.append(draw.choice([*VALUES, "--nonsense", "--epoch=1", "-x", "--", "---", "--=1"]))
    arguments = [*line, *extra]
    before = files_in(place)
    end = command([argument for argument in arguments if "\0" not in argument], place, GIVEN.get(name, b""))
    problem = problem_of(end)
    if end.code is None and any(file.endswith("history.jsonl") for file in files_in(place) - before):
        problem = ""  # it trains, for as long as it was told to
    diverged = "NaN in " in end.said  # the run had begun
    if not problem and end.code == 2 and not diverged and (new := files_in(place) - before):
        problem = f"refused, but left {sorted(new)[:3]}: {end.said[:200]}"
    return f"{' '.join(arguments)[:400]!r}", problem
