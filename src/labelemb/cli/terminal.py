"""What commands print: text of unknown origin shown safely, on any terminal, and errors of the output in one line."""

import json
import os
import sys
import warnings
from typing import Any

from labelemb.errors import escape_control


def show(text: object) -> None:
    """Print text; control characters in it are escaped."""
    print(escape_control(str(text)))


def notice(text: str) -> None:
    """Print text on stderr; control characters in it are escaped."""
    print(escape_control(text), file=sys.stderr)


def show_json(content: Any) -> None:
    """Print JSON; control characters in it are escaped."""
    print(escape_control(json.dumps(content, ensure_ascii=False, indent=2)))


def show_error(text: str) -> None:
    """Print an error on stderr in one line; of several processes the first does."""
    rank = os.environ.get("RANK", "0")
    if not (rank.isdecimal() and int(rank) > 0):
        print(f"labelemb: {escape_control(' '.join(text.split()))}", file=sys.stderr)


def prepare() -> None:
    """Set the process up for the command line.

    Characters that the terminal cannot show are escaped instead of failing, and warnings of libraries are not shown.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", module="labelemb")
        warnings.filterwarnings("ignore", category=ResourceWarning)


def abandon_output() -> None:
    """Discard what could not be written to stdout: Python would try again at exit and report it with a traceback."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def end(code: int) -> int:
    """Return the exit code; a process of a launch ends here instead.

    Threads of torch's process group outlive it, and the shutdown of the interpreter sometimes aborts because of them
    ("terminate called without an active exception"), which the launcher would report as a failure.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        os._exit(code)
    return code
