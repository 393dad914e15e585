"""``labelemb list``: list the presets."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.presets import preset_names, read_preset


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    return Parser("List the presets.", "example:\n  $ labelemb list")


def run(chosen: Any) -> int:
    """Print name and summary of each preset."""
    table = Table("preset", "trains", box=None)
    for name in preset_names():
        table.add_row(name, read_preset(name).summary)
    console = Console()
    console.print(table)
    console.print("See one: labelemb show PRESET. Train one: labelemb train PRESET", highlight=False)
    return 0


COMMAND = Command(parser, run)
