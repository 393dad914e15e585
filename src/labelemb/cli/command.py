"""What a command consists of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labelemb.cli.parser import Parser


@dataclass(frozen=True)
class Command:
    """A subcommand of ``labelemb``.

    Args:
        parser: Builds the parser; is given the arguments, since the options of a preset depend on its name.
        run: Runs the command with the parsed options and returns the exit code. A command with ``split`` is given the
            parsed options of each of its argument lists.
        split: Makes argument lists of one: several presets have different options and defaults. None: there is one.
    """

    parser: Callable[[Sequence[str]], Parser]
    run: Callable[..., int]
    split: Callable[[Sequence[str]], list[list[str]]] | None = None
