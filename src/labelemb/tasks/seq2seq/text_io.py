"""Read text files line by line, gzipped or plain, and sentence pairs from two files or an LCSTS file."""

import gzip
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from labelemb.errors import DataError

Pairs = Callable[[], Iterator[tuple[str, str]]]  # each call reads (source line, target line) from the start
GZIP = b"\x1f\x8b"
LONGEST_LINE = 2**24  # bytes
_FIELDS = {name: re.compile(rf"<{name}>(.*?)</{name}>", re.S) for name in ("human_label", "summary", "short_text")}


def read_lines(path: Path | str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or gzipped, one at a time and without line endings.

    Lines end with LF or CRLF only; other Unicode line separators are part of the text. A leading byte order mark is
    removed.

    Args:
        path: The file.

    Yields:
        The lines.

    Raises:
        DataError: If the file is missing, damaged or empty, or a line is not UTF-8.
    """
    path = Path(path)
    number = 0
    try:
        with path.open("rb") as plain:  # opened once: a pipe can be read once
            if stat.S_ISCHR(os.fstat(plain.fileno()).st_mode):
                raise DataError(str(path), "a text file", "a device")
            zipped = plain.peek(2)[:2] == GZIP
            for line in decoded(cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if zipped else plain, str(path)):
                number += 1
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(str(path), "a complete gzip file", f"{error} after line {number}") from error
    except OSError as error:
        raise DataError(str(path), "a readable text file", error.strerror or error) from error
    if not number:
        raise DataError(str(path), "lines of text", "an empty file")


def decoded(file: BinaryIO, name: str) -> Iterator[str]:
    """Decode the lines of a binary file; see ``read_lines``.

    Args:
        file: The file.
        name: Name of the source in error messages.

    Yields:
        The lines without their endings.

    Raises:
        DataError: If a line is not UTF-8, or too long.
    """
    for number, content in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
        if len(content) > LONGEST_LINE:
            raise DataError(f"{name}, line {number}", f"at most {LONGEST_LINE:,} bytes in a line", "more")
        try:
            line = content.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}, line {number}", "UTF-8", f"{error.object[error.start : error.end]!r}") from error
        yield line.removeprefix("\ufeff") if number == 1 else line


def tokenize(line: str, by_character: bool) -> list[str]:
    """Split a line into words at white space, or into the characters of these words."""
    words = line.split()
    return [character for word in words for character in word] if by_character else words


def parallel(source: Path | str, target: Path | str) -> Pairs:
    """Return the sentence pairs of two files with corresponding lines, without surrounding white space.

    Args:
        source: File with the source sentences.
        target: File with the target sentences.

    Returns:
        A function that reads the pairs. It raises DataError if a file cannot be read (see ``read_lines``) or the
        numbers of lines differ.
    """

    def read() -> Iterator[tuple[str, str]]:
        lines = (read_lines(source), read_lines(target))
        for number, (source_line, target_line) in enumerate(zip_longest(*lines)):
            if source_line is None or target_line is None:
                longer = number + 1 + sum(1 for _ in lines[source_line is None])
                counts = (number, longer) if source_line is None else (longer, number)
                raise DataError(f"{source}, {target}", "the same number of lines", f"{counts[0]} and {counts[1]}")
            yield source_line.strip(), target_line.strip()

    return read


def is_lcsts(path: Path | str) -> bool:
    """Return whether a file is in the release format of LCSTS. Raises DataError if it cannot be read."""
    first = next((line for line in read_lines(path) if line.strip()), "")
    return first.lstrip().startswith("<doc id=")


def lcsts(path: Path | str, min_label: int = 0) -> Pairs:
    """Return the pairs (short_text, summary) of a file in the release format of LCSTS.

    A document is ``<doc id=N> [<human_label>1..5</human_label>] <summary>..</summary> <short_text>..</short_text>
    </doc>`` and may span several lines.

    Args:
        path: The file.
        min_label: Minimum ``human_label``; documents without one are kept.

    Returns:
        A function that reads the pairs. It raises DataError if the file cannot be read (see ``read_lines``) or a
        document is incomplete.
    """

    def read() -> Iterator[tuple[str, str]]:
        for number, document in _documents(Path(path)):
            parts = {name: pattern.search(document) for name, pattern in _FIELDS.items()}
            summary, text, label = parts["summary"], parts["short_text"], parts["human_label"]
            if summary is None or text is None:
                missing = "summary" if summary is None else "short_text"
                raise DataError(f"{path}, document at line {number}", f"<{missing}>..</{missing}>", "none")
            if label is not None and not re.fullmatch(r"\d{1,9}", label[1].strip()):
                raise DataError(f"{path}, document at line {number}", "a whole human_label", repr(label[1].strip()))
            if label is None or int(label[1]) >= min_label:
                yield " ".join(text[1].split()), " ".join(summary[1].split())

    return read


def _documents(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of the first line and the text of each document."""
    start, size, document = 0, 0, list[str]()
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        begins, ends = text.startswith("<doc id="), text.endswith("</doc>")
        if begins == bool(document) and text:
            expected = f"</doc> for the document of line {start}" if document else "<doc id=...>"
            raise DataError(f"{path}, line {number}", expected, repr(text[:40]))
        if begins:
            start, size = number, 0
        size += len(text)
        if size > LONGEST_LINE:
            raise DataError(f"{path}, document at line {start}", f"at most {LONGEST_LINE:,} characters", "more")
        if text:
            document.append(text)
        if ends:
            yield start, "\n".join(document)
            document.clear()
    if document:
        raise DataError(str(path), f"</doc> for the document of line {start}", "the end of the file")
