"""Read how often people confuse labels: a CSV table of similarities, or an npz file of votes."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelemb.array_files import read_arrays
from labelemb.csv_cells import unprotect
from labelemb.documents import parse_json, read_bounded
from labelemb.errors import DataError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class NamedSimilarity:
    """Similarities between named labels.

    Attributes:
        source: Where they come from, for messages.
        names: V label names.
        matrix: (V, V); entry [y, k] says how near label k is to label y.
    """

    source: str
    names: list[str]
    matrix: Matrix

    def select(self, names: Sequence[str]) -> Matrix:
        """Return the similarities of some labels, in their order.

        Raises:
            DataError: For names that are not there.
        """
        places = {name: place for place, name in enumerate(self.names)}
        missing = [name for name in names if name not in places]
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(self.source, f"all {len(names)} labels of the embedding", f"none named {shown}")
        order = [places[name] for name in names]
        chosen: Matrix = self.matrix[np.ix_(order, order)]
        return chosen


def read_similarity(path: Path, argument: str = "human") -> NamedSimilarity:
    """Read the similarities that a file holds.

    Two forms:

    - CSV: a header ``,name,name...`` and a row ``name,value,...`` per label; values are taken as they are.
    - npz: ``counts[true, voted]`` and ``classes``; or ``counts[example, voted]``, ``labels`` and ``classes``. Counts
      become shares of the votes, of a label or of each example, the latter averaged over the examples of a label.

    Args:
        path: The file, ending in .csv or .npz.
        argument: What an error names as its cause.

    Raises:
        DataError: For a missing or damaged file.
    """
    if path.suffix.lower() not in (".csv", ".npz"):
        raise DataError(argument, "a file that ends in .csv or .npz", path.name)
    if not path.is_file():
        raise DataError(argument, f"a file ({path})", "no such file")
    names, matrix = _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(str(path), "each label once", ", ".join(twice[:5]))
    return NamedSimilarity(str(path), names, matrix)


def read_groups(path: Path, names: Sequence[str]) -> list[str]:
    """Read the group of each label.

    Three forms: a CSV of rows ``label,group``; a JSON object ``{group: [label, ...]}``; an npz with ``classes`` and
    ``fine_to_coarse``.

    Args:
        path: The file.
        names: V label names.

    Returns:
        V group names.

    Raises:
        DataError: For a missing or damaged file, or labels without a group.
    """
    if not path.is_file():
        raise DataError("groups", f"a file ({path})", "no such file")
    read = {".npz": _groups_from_npz, ".json": _groups_from_json}.get(path.suffix.lower(), _groups_from_csv)
    found = read(path)
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(str(path), f"a group for all {len(names)} labels", f"none for {', '.join(missing[:5])}")
    return [found[name] for name in names]


def _groups_from_csv(path: Path) -> dict[str, str]:
    rows = _rows(path)
    if any(len(row) != 2 for row in rows):
        raise DataError(str(path), "rows label,group", next(row for row in rows if len(row) != 2))
    return {row[0]: row[1] for row in rows}


def _groups_from_json(path: Path) -> dict[str, str]:
    expected = "a JSON object of lists of labels by group"
    content = parse_json(read_bounded(path, expected), str(path), expected)
    if not isinstance(content, dict) or not all(isinstance(labels, list) for labels in content.values()):
        raise DataError(str(path), expected, "another structure")
    return {str(label): str(group) for group, labels in content.items() for label in labels}


def _groups_from_npz(path: Path) -> dict[str, str]:
    content = read_arrays(path, "an npz file of plain arrays")
    if not {"classes", "fine_to_coarse"} <= content.keys():
        raise DataError(str(path), "arrays classes and fine_to_coarse", ", ".join(content))
    return dict(zip(map(str, content["classes"]), map(str, content["fine_to_coarse"]), strict=False))


def _read_csv(path: Path) -> tuple[list[str], Matrix]:
    header, *rows = _rows(path) or [[]]
    columns = header[1:]
    if not columns or [row[0] for row in rows] != columns:
        raise DataError(str(path), "a header ,name,name... and a row per label in the same order", "another layout")
    if any(len(row) != len(header) for row in rows):
        raise DataError(str(path), f"{len(columns)} values in each row", "another number")
    try:
        return columns, np.array([[float(value) for value in row[1:]] for row in rows], np.float64)
    except ValueError as error:
        raise DataError(str(path), "numbers", str(error)) from None


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [[unprotect(cell) for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(path), "a CSV file in UTF-8", error) from None


def _read_npz(path: Path) -> tuple[list[str], Matrix]:
    content = read_arrays(path, "an npz file of plain arrays")
    if not {"counts", "classes"} <= content.keys():
        raise DataError(str(path), "arrays counts and classes", ", ".join(content) or "none")
    counts, names = content["counts"], [str(name) for name in content["classes"]]
    numeric = counts.dtype.kind in "uif" and counts.ndim == 2 and counts.shape[1] == len(names)
    votes = counts.astype(np.float64) if numeric else np.full((1, 1), np.nan)
    if not (np.isfinite(votes).all() and (votes >= 0).all()):
        raise DataError(str(path), f"counts (rows, {len(names)}) of votes >= 0", f"{counts.dtype} {counts.shape}")
    totals = votes.sum(axis=1, keepdims=True)
    shares = np.divide(votes, totals, out=np.zeros_like(votes), where=totals > 0)
    if "labels" not in content:
        if len(shares) != len(names):
            raise DataError(str(path), "counts[true, voted], or labels beside counts[example, voted]", counts.shape)
        return names, shares
    labels = content["labels"]
    whole = labels.shape == (len(shares),) and labels.dtype.kind in "ui"
    if not whole or not len(labels) or int(labels.max()) >= len(names) or int(labels.min()) < 0:
        raise DataError(str(path), f"a label in [0, {len(names)}) for each of {len(shares)} examples", labels.shape)
    voted = totals[:, 0] > 0
    sums = np.zeros((len(names), len(names)))
    np.add.at(sums, labels[voted], shares[voted])
    examples = np.bincount(labels[voted], minlength=len(names))[:, None]
    return names, np.divide(sums, examples, out=sums, where=examples > 0)
