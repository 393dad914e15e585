"""The history of a run: one JSON line per evaluation."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelemb.errors import DataError
from labelemb.files import write_text

Line = dict[str, Any]


def read_history(path: Path) -> list[Line]:
    """Read the lines of a history file, oldest first; none when there is no file.

    Raises:
        DataError: A line is damaged.
    """
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise DataError(str(path), "one JSON object per line", error) from error
    for line in lines:
        if not isinstance(line, dict) or not isinstance(line.get("epoch"), int | float):
            raise DataError(str(path), "one JSON object with an epoch per line", repr(line))
    return lines


def write_history(path: Path, lines: Iterable[Line]) -> None:
    """Replace a history file."""
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
