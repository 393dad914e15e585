"""Text files line by line, gzipped or plain, and the pairs of lines that two of them, or one of LCSTS, hold."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from labelemb.errors import DataError

Pairs = Callable[[], Iterator[tuple[str, str]]]  # read anew at each call: (source line, target line)
GZIP = b"\x1f\x8b"
_FIELDS = {name: re.compile(rf"<{name}>(.*?)</{name}>", re.S) for name in ("human_label", "summary", "short_text")}


def read_lines(path: Path | str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, whatever its compression; one line is in memory at a time.

    Only a line feed ends a line (one carriage return before it goes, too): other Unicode separators are text. A byte
    order mark at the start is left out.

    Raises DataError for a missing, damaged or empty file, and for invalid UTF-8 with the line's number.
    """
    path = Path(path)
    number = 0
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            for line in decoded(file, str(path)):
                number += 1
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(str(path), "a whole gzip file", f"{error} after line {number}") from error
    except OSError as error:
        raise DataError(str(path), "a readable text file", error.strerror or error) from error
    if not number:
        raise DataError(str(path), "lines of text", "an empty file")


def decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines of bytes as text without their ends; see ``read_lines``.

    Raises DataError for invalid UTF-8, with the line's number; name: what the lines are of.
    """
    for number, content in enumerate(lines, start=1):
        try:
            line = content.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}, line {number}", "UTF-8", f"{error.object[error.start : error.end]!r}") from error
        yield line.removeprefix("\ufeff") if number == 1 else line


def tokenize(line: str, by_character: bool) -> list[str]:
    """Cut a line into characters, white space left out, or into words between white space."""
    words = line.split()
    return [character for word in words for character in word] if by_character else words


def parallel(source: Path | str, target: Path | str) -> Pairs:
    """Return the pairs of two files whose lines belong together; white space at the ends of lines goes.

    Reading raises DataError as ``read_lines`` does, and when one file has more lines than the other.
    """

    def read() -> Iterator[tuple[str, str]]:
        lines = (read_lines(source), read_lines(target))
        for number, (one, other) in enumerate(zip_longest(*lines)):
            if one is None or other is None:
                longer = number + 1 + sum(1 for _ in lines[one is None])
                counts = (number, longer) if one is None else (longer, number)
                raise DataError(f"{source}, {target}", "equally many lines", f"{counts[0]} and {counts[1]}")
            yield one.strip(), other.strip()

    return read


def is_lcsts(path: Path | str) -> bool:
    """Say whether a file is in the release format of LCSTS. Raises DataError as ``read_lines`` does."""
    first = next((line for line in read_lines(path) if line.strip()), "")
    return first.lstrip().startswith("<doc id=")


def lcsts(path: Path | str, least_label: int = 0) -> Pairs:
    """Return the pairs (short_text, summary) of a file in the release format of LCSTS.

    That is <doc id=N> [<human_label>1..5</human_label>] <summary>..</summary> <short_text>..</short_text> </doc>, over
    as many lines as it likes.

    least_label  documents whose human_label is lower are left out; those without one stay

    Reading raises DataError as ``read_lines`` does, and for a document that lacks a part, with its line number.
    """

    def read() -> Iterator[tuple[str, str]]:
        for number, document in _documents(Path(path)):
            parts = {name: pattern.search(document) for name, pattern in _FIELDS.items()}
            summary, text, label = parts["summary"], parts["short_text"], parts["human_label"]
            if summary is None or text is None:
                missing = "summary" if summary is None else "short_text"
                raise DataError(f"{path}, document at line {number}", f"<{missing}>..</{missing}>", "none")
            if label is not None and not label[1].strip().isdecimal():
                raise DataError(f"{path}, document at line {number}", "a whole human_label", repr(label[1].strip()))
            if label is None or int(label[1]) >= least_label:
                yield " ".join(text[1].split()), " ".join(summary[1].split())

    return read


def _documents(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each document with the number of its first line."""
    start, inside = 0, list[str]()
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        begins, ends = text.startswith("<doc id="), text.endswith("</doc>")
        if begins == bool(inside) and text:
            expected = f"</doc> for the document of line {start}" if inside else "<doc id=...>"
            raise DataError(f"{path}, line {number}", expected, repr(text[:40]))
        if begins:
            start = number
        if text:
            inside.append(text)
        if ends:
            yield start, "\n".join(inside)
            inside.clear()
    if inside:
        raise DataError(str(path), f"</doc> for the document of line {start}", "the end of the file")
