"""``labelemb agree``: compare a learned label embedding with how often people confuse the labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.cli.trained_model import add_groups
from labelemb.errors import check_at_least_one

MOST_PERMUTATIONS = 10**6


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Compare the soft labels that a network learned with how often people confuse the labels.",
        """\
examples:
  $ labelemb agree runs/cifar10-small/label_embedding/seed-0 --human cifar10h.npz
  $ labelemb agree runs/cifar100-small --human votes.csv --groups superclasses.csv --out agreement

Files, labels matched by name:
  CSV   a header ",name,name,..." and a row "name,value,..." per label: similarities, or shares of votes
  npz   counts[true, voted] and classes; or counts[example, voted], labels and classes
""",
    )
    text = "a run folder, a folder with runs, labels.safetensors, or any similarity as .csv or .npz"
    made.add_argument("source", type=str, help=text)
    made.add_argument("--human", type=str, required=True, help="what people confuse, .csv or .npz")
    add_groups(made)
    made.add_argument("--permutations", type=int, default=9999, help="permutations of the Mantel test")
    made.add_argument("--out", type=str, help="folder for the numbers, a scatter plot and heat maps")
    return made


def run(chosen: Any) -> int:
    """Print the agreement, and write it with its pictures where --out is given."""
    check_at_least_one("permutations", chosen.permutations, MOST_PERMUTATIONS)
    from labelemb.report.agreement import agreement_lines, compare_with_people, write_agreement

    source, human = Path(chosen.source), Path(chosen.human)
    groups = Path(chosen.groups) if chosen.groups else None
    found = compare_with_people(source, human, groups, chosen.permutations)
    show("\n".join(agreement_lines(found)))
    if chosen.out:
        for path in write_agreement(found, Path(chosen.out), f"{source.name}, {human.name}"):
            show(path)
    return 0


COMMAND = Command(parser, run)
