"""CSV files whose cells no spreadsheet runs: one that starts with certain characters would be taken for a formula."""

import csv
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-?(inf|nan)", re.ASCII)


def write_rows(file: "SupportsWrite[str]", rows: Iterable[Iterable[object]]) -> None:
    """Write the rows of a CSV file; every text that could be a formula is protected.

    Args:
        file: Text file, opened with ``newline=""`` where it is one on disk.
        rows: Numbers, texts, and None for empty cells. Texts that are numbers stay as they are.
    """
    for row in rows:
        line = io.StringIO()
        writer = csv.writer(line, lineterminator="\r\n")  # "\n" alone would leave a "\r" in a cell without quotes
        writer.writerow([protect(cell) if isinstance(cell, str) and not is_number(cell) else cell for cell in row])
        file.write(line.getvalue().removesuffix("\r\n") + "\n")


def is_number(text: str) -> bool:
    """Return whether a text is a decimal number.

    >>> is_number("-1.5e-3"), is_number("-1+1")
    (True, False)
    """
    return _NUMBER.fullmatch(text) is not None


def protect(name: str) -> str:
    """Return a cell that a spreadsheet takes for text: an apostrophe comes before what could be a formula.

    >>> protect("=1+1"), protect("cat")
    ("'=1+1", 'cat')
    """
    return f"'{name}" if name.lstrip("'").startswith(FORMULA) else name


def unprotect(cell: str) -> str:
    """Return the name that ``protect`` made a cell of.

    >>> unprotect("'=1+1"), unprotect("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell
