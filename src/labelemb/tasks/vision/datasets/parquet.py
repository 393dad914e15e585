"""Images in parquet files as the Hugging Face hub lays them out: a struct with bytes, labels, names in the metadata."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelemb.errors import ConfigError, DataError

EXTRA = "pip install datasets pillow pyarrow"


@dataclass(frozen=True)
class Encoded:
    """Encoded images, their labels, and the label names in index order."""

    contents: list[bytes]
    labels: list[int]
    label_names: tuple[str, ...]


def find_parquet(folder: Path, name: str, split: str) -> list[Path]:
    """Return the parquet files of a split, in order: SPLIT*.parquet in the folder or where the hub puts them."""
    for place in (folder / name, folder):
        for below in ("", "data", "plain_text", name):
            if files := sorted((place / below).glob(f"{split}*.parquet")):
                return files
    return []


def read_parquet(files: Sequence[Path], level: str) -> Encoded:
    """Read the images and labels of some parquet files of one split. Raises DataError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("data", "pyarrow, which reads parquet files", "none", EXTRA) from error
    try:
        table = pyarrow.concat_tables([pyarrow.parquet.read_table(file) for file in files])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(str(files[0]), "a readable parquet file", " ".join(str(error).split())) from error
    features = _features(table.schema.metadata)
    image = [name for name in table.column_names if pyarrow.types.is_struct(table.schema.field(name).type)]
    names = {name: _names(feature) for name, feature in features.items()}
    if not image:
        raise DataError(str(files[0]), "a column of images (bytes, path)", ", ".join(table.column_names))
    label = choose_label([name for name in table.column_names if names.get(name)], level, str(files[0]))
    contents = [row.get("bytes") if row else None for row in table.column(image[0]).to_pylist()]
    return checked(contents, table.column(label).to_pylist(), names[label], str(files[0]))


def choose_label(columns: Sequence[str], level: str, source: str) -> str:
    """Return the column that holds the label: LEVEL_label, label, labels, or the only one. Raises DataError."""
    for name in (f"{level}_label", "label", "labels"):
        if name in columns:
            return name
    if len(columns) == 1:
        return columns[0]
    got = ", ".join(columns) or "none"
    raise DataError(source, "a column 'label' with label names in the metadata (ClassLabel)", got)


def checked(contents: Sequence[Any], labels: Sequence[Any], names: Sequence[str], source: str) -> Encoded:
    """Return the rows when each has an image and a label that has a name. Raises DataError for the first that has not.

    Rows labelled -1, which is how the hub marks a split without labels, are refused too.
    """
    for row, (content, label) in enumerate(zip(contents, labels, strict=True)):
        if not isinstance(content, bytes):
            raise DataError(f"{source}, row {row}", "the bytes of an image", type(content).__name__)
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < len(names):
            raise DataError(f"{source}, row {row}", f"a label from 0 to {len(names) - 1}", label)
    return Encoded(list(contents), list(labels), tuple(names))


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """Return the features that the hub's metadata describes; none where it is missing or damaged."""
    try:
        return dict(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def _names(feature: object) -> list[str]:
    """Return the label names of a ClassLabel feature; none for any other and for a damaged one."""
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    valid = isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return names if valid and names is not None else []
