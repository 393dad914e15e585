"""Reading JSON and YAML of unknown origin: bounded in size, depth and aliases, and every error is one DataError."""

import gzip
import json
import zlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from labelemb.errors import DataError

LARGEST = 2**26  # bytes of a file
LARGEST_YAML = 2**20  # the parser is slow
DEEPEST = 32  # collections within each other


def read_bounded(path: Path, expected: str, largest: int = LARGEST) -> str:
    """Read a UTF-8 text file. Raises DataError as ``read_content`` does, and when it is not UTF-8."""
    try:
        return read_content(path, expected, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(str(path), f"{expected} in UTF-8", error) from error


def read_content(path: Path, expected: str, largest: int, gzipped: bool = False) -> bytes:
    """Read a whole file.

    Args:
        path: File to read.
        expected: What the file should be, for error messages.
        largest: Largest size of the content in bytes.
        gzipped: Whether the file may be compressed; its first bytes tell.

    Raises:
        DataError: It is missing, not a regular file, too large, damaged or not readable.
    """
    if path.exists() and not path.is_file():
        raise DataError(str(path), expected, "not a regular file")
    try:
        with path.open("rb") as file:
            compressed = gzipped and file.peek(2)[:2] == b"\x1f\x8b"
            content = (gzip.GzipFile(fileobj=file) if compressed else file).read(largest + 1)
    except FileNotFoundError:
        raise DataError(str(path), expected, "no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(str(path), expected, getattr(error, "strerror", None) or error) from error
    if len(content) > largest:
        raise DataError(str(path), f"{expected}, at most {largest:,} bytes", "more")
    return content


def parse_json(text: str, source: str, expected: str) -> Any:
    """Parse JSON; text in it is Unicode, without halves of pairs. Raises DataError that names ``source``."""
    try:
        content = json.loads(text)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode("utf-8")
        return content
    except (ValueError, RecursionError) as error:
        raise DataError(source, expected, error) from error


def parse_yaml(text: str, source: str, expected: str) -> Any:
    """Parse one YAML document of plain values, without aliases. Raises DataError that names ``source``."""
    if len(text) > LARGEST_YAML:
        raise DataError(source, f"{expected}, at most {LARGEST_YAML:,} characters", len(text))
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception as error:  # a scalar that its tag cannot read fails in many ways: 2001-99-99, !!bool x, !!int ""
        reason = str(error) if isinstance(error, yaml.YAMLError | ValueError) else "a value that has not its tag's form"
        raise DataError(source, expected, reason) from error


class _Loader(yaml.SafeLoader):
    """Refuses aliases, which can make a short file huge, deep nesting and repeated keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.depth += 1
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias, which is not supported", problem_mark=mark)
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {DEEPEST} levels", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        known = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in known:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} given twice", problem_mark=key.start_mark)
            known.add(key.value)
        return super().construct_mapping(node, deep)
