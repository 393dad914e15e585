"""Reading labeled texts from CSV, TSV, JSON Lines and Parquet files, and from the Hugging Face hub."""

import codecs
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelemb.documents import parse_json, read_content
from labelemb.errors import ConfigError, DataError
from labelemb.memory import total_memory

LARGEST = 2**33  # bytes of a file, decompressed
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")  # the line endings that csv leaves to its source
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
KINDS = ("csv", "tsv", "jsonl", "parquet")
HUB_SPLITS = {"train": ("train",), "valid": ("validation", "valid", "val", "dev"), "test": ("test",)}
Row = tuple[str, str]  # text, label


@dataclass(frozen=True)
class Columns:
    """Names of the columns that hold text and label."""

    text: str = "text"
    label: str = "label"


def read_file(path: Path, kind: str, columns: Columns) -> list[Row]:
    """Read the texts and labels of a file.

    Args:
        path: The file; may be gzip-compressed (not Parquet).
        kind: ``csv``, ``tsv``, ``jsonl`` or ``parquet``.
        columns: Which columns to read.

    Raises:
        DataError: If the file is missing or damaged, lacks a column, or has a row without text or label.
        ConfigError: If reading Parquet files needs a package that is not installed.
    """
    if not path.is_file():
        reason = "not a regular file" if path.exists() else "no such file"
        raise DataError(str(path), f"a {kind} file with labeled texts", reason)
    if kind == "parquet":
        rows: Iterable[tuple[str, Mapping[str, Any]]] = _parquet_rows(path, columns)
    else:
        content = _decode(path)
        rows = _jsonl_rows(content, path) if kind == "jsonl" else _csv_rows(content, path, kind)
    found = [_row(values, columns, place) for place, values in rows]
    if not found:
        raise DataError(str(path), "labeled texts", "none")
    return found


def kind_of(path: Path, default: str) -> str:
    """Return the format of a file by its suffix, ``.gz`` aside.

    >>> kind_of(Path("test.tsv.gz"), "csv")
    'tsv'
    """
    suffixes = [suffix.lstrip(".").lower() for suffix in path.suffixes if suffix != ".gz"]
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else default


def read_hub(name: str, columns: Columns) -> dict[str, list[Row]]:
    """Read a data set of the hub, or a folder that ``datasets`` can load; split -> rows.

    Raises:
        DataError: If it cannot be loaded, lacks a column or a split ``train``.
        ConfigError: If ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        hint = "pip install 'labelemb[data]'"
        raise ConfigError("dataset", "the package 'datasets', which reads hub:ID", "not installed", hint) from error
    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # the network, the hub and many readers can fail below
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DataError("dataset", f"a data set '{name}' of the hub", reason) from error
    splits = {split: found[there] for split, names in HUB_SPLITS.items() for there in names if there in found}
    if "train" not in splits:
        raise DataError(f"hub:{name}", "a split 'train'", ", ".join(found) or "none")
    return {split: list(_hub_rows(rows, columns, f"hub:{name}, {split}")) for split, rows in splits.items()}


def read_stdin_lines() -> list[str]:
    """Return the lines of the standard input.

    Raises:
        DataError: If they are not UTF-8.
    """
    content = sys.stdin.buffer.read()
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"stdin, line {line}", "text in UTF-8", f"byte 0x{content[error.start]:02x}") from error


def _decode(path: Path) -> str:
    content = read_content(path, "a file with labeled texts", min(LARGEST, total_memory() // 8), gzipped=True)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        encoding = "utf-16" if content.startswith(UTF_16_MARKS) else "latin1"
        hint = f"Convert the file, for example with iconv -f {encoding} -t utf-8"
        raise DataError(f"{path}, line {line}", "text in UTF-8", f"byte 0x{content[error.start]:02x}", hint) from error


def _csv_rows(content: str, path: Path, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = (found[0] for found in LINE.finditer(content))  # StringIO would take four bytes for each character
    if kind == "csv":
        reader = csv.DictReader(lines, strict=True)
    else:
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    try:
        names = list(reader.fieldnames or [])
        for name in names:
            if names.count(name) > 1:  # DictReader would keep the last of the two
                raise DataError(f"{path}, line {reader.line_num}", "different column names", f"{name!r} twice")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row:
                raise DataError(place, f"{len(names)} columns", "more; is a text not quoted?")
            yield place, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}", f"{kind} text", error) from error


def _jsonl_rows(content: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        row = parse_json(line, place, "a JSON object")
        if not isinstance(row, dict):
            raise DataError(place, "a JSON object", type(row).__name__)
        yield place, row


def _parquet_rows(path: Path, columns: Columns) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        hint = "pip install 'labelemb[data]'"
        raise ConfigError("dataset", "pyarrow, which reads parquet files", "not installed", hint) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(str(path), "a readable parquet file", " ".join(str(error).split())) from error
    names = [name for name in (columns.text, columns.label) if name in table.column_names]
    rows = table.select(names).to_pylist() if len(names) == 2 else [dict.fromkeys(table.column_names)]
    for number, row in enumerate(rows):
        yield f"{path}, row {number}", row


def _hub_rows(rows: Any, columns: Columns, source: str) -> Iterator[Row]:
    """Yield the rows of a split; no other column is read: ``datasets`` would decode images and sounds in it."""
    from datasets import ClassLabel, Value

    wanted = (columns.text, columns.label)
    if missing := [name for name in wanted if name not in rows.features]:
        _row(dict.fromkeys(name for name in rows.features if name not in missing), columns, source)
    for name in wanted:
        if not isinstance(feature := rows.features[name], Value | ClassLabel):
            raise DataError(source, f"texts or numbers in column '{name}'", type(feature).__name__)
    names = getattr(rows.features[columns.label], "names", None)
    for number, row in enumerate(rows.select_columns(list(dict.fromkeys(wanted)))):
        if names is not None and isinstance(row.get(columns.label), int):
            row = {**row, columns.label: names[row[columns.label]]}
        yield _row(row, columns, f"{source}, row {number}")


def _row(values: Mapping[str, Any], columns: Columns, place: str) -> Row:
    for option, name in (("text_column", columns.text), ("label_column", columns.label)):
        if name not in values:
            there = ", ".join(map(str, values)) or "none"
            raise DataError(place, f"a column '{name}'", f"columns {there}", f"Name it with --{option}")
    text, label = values[columns.text], values[columns.label]
    if not isinstance(text, str) or not text.strip():
        raise DataError(place, f"a text in column '{columns.text}'", repr(text))
    if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
        raise DataError(place, f"a label in column '{columns.label}'", repr(label))
    return text, str(label).strip()
