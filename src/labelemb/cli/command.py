"""What a command consists of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labelemb.cli.parser import Parser


@dataclass(frozen=True)
class Command:
    """A subcommand of ``labelemb``.

    Args:
        parser: Builds the parser; is given the arguments, since the options of a preset depend on its name.
        run: Runs the command with the parsed options and returns the exit code.
    """

    parser: Callable[[Sequence[str]], Parser]
    run: Callable[[Any], int]
