"""Read images from parquet files of the Hugging Face Hub: image bytes in a struct, label names in the metadata."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelemb.errors import ConfigError, DataError

EXTRA = "pip install datasets pillow pyarrow"


@dataclass(frozen=True)
class Encoded:
    """N encoded images.

    Attributes:
        contents: Contents of the image files.
        labels: Labels, from 0.
        label_names: Label names in index order.
    """

    contents: list[bytes]
    labels: list[int]
    label_names: tuple[str, ...]


def find_parquet(folder: Path, name: str, split: str) -> list[Path]:
    """Find the parquet files of a split.

    Args:
        folder: Folder with the files, directly, or in the folders NAME, ``data`` or ``plain_text`` as on the Hub.
        name: Name of the data set.
        split: ``train`` or ``test``.

    Returns:
        The files SPLIT*.parquet in order; empty if there are none.
    """
    for place in (folder / name, folder):
        for below in ("", "data", "plain_text", name):
            if files := sorted((place / below).glob(f"{split}*.parquet")):
                return files
    return []


def read_parquet(files: Sequence[Path], level: str) -> Encoded:
    """Read the images and labels of the parquet files of one split.

    Args:
        files: The files in order.
        level: Label granularity, where there is a column ``LEVEL_label``.

    Returns:
        The encoded images.

    Raises:
        ConfigError: If pyarrow is not installed.
        DataError: If a file is damaged or has no images with labels.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("data", "the package 'pyarrow', which reads parquet files", "not installed", EXTRA) from error
    try:
        table = pyarrow.concat_tables([pyarrow.parquet.read_table(file) for file in files])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(str(files[0]), "a readable parquet file", " ".join(str(error).split())) from error
    features = _features(table.schema.metadata)
    images = [name for name in table.column_names if pyarrow.types.is_struct(table.schema.field(name).type)]
    names = {name: _names(feature) for name, feature in features.items()}
    if not images:
        raise DataError(str(files[0]), "a column of images (bytes, path)", ", ".join(table.column_names))
    label = choose_label([name for name in table.column_names if names.get(name)], level, str(files[0]))
    contents = [row.get("bytes") if row else None for row in table.column(images[0]).to_pylist()]
    return checked(contents, table.column(label).to_pylist(), names[label], str(files[0]))


def choose_label(columns: Sequence[str], level: str, source: str) -> str:
    """Return the label column.

    Args:
        columns: Names of the columns with class labels.
        level: Label granularity.
        source: Name of the data for error messages.

    Returns:
        ``LEVEL_label``, ``label``, ``labels`` or the only column, whichever exists first.

    Raises:
        DataError: If there is no such column.
    """
    for name in (f"{level}_label", "label", "labels"):
        if name in columns:
            return name
    if len(columns) == 1:
        return columns[0]
    got = ", ".join(columns) or "none"
    raise DataError(source, "a column 'label' with label names in the metadata (ClassLabel)", got)


def checked(contents: Sequence[Any], labels: Sequence[Any], names: Sequence[str], source: str) -> Encoded:
    """Check that every row has an image and a valid label.

    Args:
        contents: Contents of the image files.
        labels: Labels; -1, the Hub's value for undisclosed labels, is not valid.
        names: Label names.
        source: Name of the data for error messages.

    Returns:
        The encoded images.

    Raises:
        DataError: Naming the first invalid row.
    """
    for row, (content, label) in enumerate(zip(contents, labels, strict=True)):
        if not isinstance(content, bytes):
            raise DataError(f"{source}, row {row}", "the bytes of an image", type(content).__name__)
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < len(names):
            raise DataError(f"{source}, row {row}", f"a label from 0 to {len(names) - 1}", label)
    return Encoded(list(contents), list(labels), tuple(names))


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """Return the features from the Hub's metadata; empty if it is missing or damaged."""
    try:
        return dict(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def _names(feature: object) -> list[str]:
    """Return the label names of a ClassLabel feature; empty for other or damaged features."""
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    valid = isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return names if valid and names is not None else []
