"""The history of a run: one JSON line per evaluation."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labelemb.documents import parse_json, read_bounded
from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.runs.schema import Numbers, Positions, check_schema

Line = dict[str, Any]
EXPECTED = "one JSON object per line"


def read_history(path: Path) -> list[Line]:
    """Read the lines of a history file, oldest first; none when there is no file.

    Raises:
        DataError: A line is damaged or does not follow the line before.
    """
    if not path.is_file():
        return []
    texts = enumerate(read_bounded(path, EXPECTED).splitlines(), 1)
    lines = [parse_json(text, f"{path}, line {number}", EXPECTED) for number, text in texts]
    check_history(path, lines)
    return lines


def check_history(path: Path | str, lines: Sequence[Any]) -> None:
    """Raise DataError unless each line is one of a history and later than the line before.

    Args:
        path: File with the history.
        lines: Its parsed lines.
    """
    before = (0, 0)
    for number, line in enumerate(lines, 1):
        source = f"{path}, line {number}"
        check_schema(source, dict[str, Any], line)
        found = check_schema(source, Positions, {key: line[key] for key in ("epoch", "step") if key in line})
        check_schema(source, Numbers, {key: value for key, value in line.items() if key != "terms"})
        check_schema(source, dict[str, Numbers], {"terms": line.get("terms", {})})
        after = (found["epoch"], found.get("step", before[1] + 1))
        if after[0] < before[0] or after[1] <= before[1]:
            raise DataError(
                source, f"an evaluation after epoch {before[0]}, step {before[1]}", f"{after[0]}, {after[1]}"
            )
        before = after


def write_history(path: Path, lines: Iterable[Line]) -> None:
    """Replace a history file."""
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
