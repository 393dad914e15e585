"""``labelemb report``: write tables, curves, heat maps and an HTML page about runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.cli.trained_model import add_groups
from labelemb.files import check_output_folder
from labelemb.runs.remote import local_copy
from labelemb.stats.equivalence import check_margin


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Write tables, curves, heat maps and an HTML page about all runs in some folders. Nothing is trained.",
        "example:\n  $ labelemb report runs/mnist-mlp runs/mnist-cnn --out report\n  $ open report/report.html",
    )
    made.add_argument("folders", type=str, nargs="+", help="folders with runs at or below them")
    made.add_argument("--out", type=str, default="report", help="folder for the report")
    made.add_argument("--labels", type=str, help="labels in the heat maps, separated by commas; default: all")
    made.add_argument("--order", type=str, default="cluster", help="order of the labels: cluster or given")
    reference = "method that the others are compared with; default: cross_entropy, or the first"
    made.add_argument("--reference", type=str, help=reference)
    human = "label similarities according to people, .csv or .npz as for agree, to compare the label embeddings with"
    made.add_argument("--human", type=str, help=human)
    add_groups(made)
    made.add_argument(
        "--alike",
        type=float,
        help="test for equivalence, too: largest difference in percentage points that counts as none",
    )
    return made


def run(chosen: Any) -> int:
    """Write the report and print its tables."""
    if chosen.alike is not None:
        check_margin(chosen.alike)
    check_output_folder("out", chosen.out)
    from labelemb.report import Judgements, make_report  # matplotlib takes a second to import

    labels = [label.strip() for label in chosen.labels.split(",")] if chosen.labels else None
    folders = [local_copy(folder, checkpoints=False) for folder in chosen.folders]
    judged = Judgements(*(Path(file) if file else None for file in (chosen.human, chosen.groups)))
    made = make_report(folders, Path(chosen.out), labels, chosen.order, chosen.reference, chosen.alike, judged)
    show(made.text)
    show(f"\nReport: {made.page.resolve()}")
    return 0


COMMAND = Command(parser, run)
