"""``labelemb demo``: cross entropy against label embedding on small digits, in about a minute."""

import os
from collections.abc import Sequence
from typing import Any

from labelemb.cli import compare
from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import main_console
from labelemb.files import check_output_folder
from labelemb.training.progress import say

SEEDS = 6  # the fewest with which the paired test can reach p < 0.05


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        f"Compare cross entropy and label embedding on small digits, {SEEDS} seeds each. Nothing is downloaded.",
        "example:\n  $ labelemb demo\n  ...\n  Report: /home/you/demo/report/report.html",
    )
    made.add_argument("--out", type=str, default="demo", help="folder for the run folders and the report")
    return made


def run(chosen: Any) -> int:
    """Compare both methods."""
    check_output_folder("out", chosen.out)
    line = f"Training on 1,259 images of digits: cross entropy against label embedding, {SEEDS} seeds each."
    say(main_console(), line)
    options = {
        "--method": "cross_entropy,label_embedding",
        "--seeds": str(SEEDS),
        "--jobs": str(min(2, os.cpu_count() or 1)),
        "--threads": "1",
        "--out": chosen.out,
        "--report": f"{chosen.out}/report",
    }
    arguments = ["digits", *(word for pair in options.items() for word in pair)]
    return compare.run(compare.COMPARE.parser(arguments).parse_args(arguments))


COMMAND = Command(parser, run)
