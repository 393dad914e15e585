"""``labelemb show``: print a preset."""

from collections.abc import Sequence
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.presets import preset_names, read_preset


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    note = "A copy of it, saved as a YAML file, is a preset of your own: labelemb train my.yaml"
    made = Parser(f"Print a preset with its comments. {note}", "example:\n  $ labelemb show digits > my.yaml")
    made.add_argument("preset", type=str, help=f"one of {', '.join(preset_names())}")
    return made


def run(chosen: Any) -> int:
    """Print the file as it is."""
    show(read_preset(chosen.preset).text.rstrip("\n"))
    return 0


COMMAND = Command(parser, run)
