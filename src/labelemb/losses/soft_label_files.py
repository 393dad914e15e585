"""Read and check matrices of soft labels."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from labelemb.array_files import read_arrays
from labelemb.csv_cells import unprotect
from labelemb.errors import DataError
from labelemb.tensor_files import read_tensors

FORMATS = "a .csv, .npy or .safetensors file with one matrix"


def check_soft_labels(name: str, matrix: Tensor) -> None:
    """Raise DataError, naming the first wrong row, unless the matrix is square with probabilities in its rows.

    Args:
        name: Argument or file to name in the error.
        matrix: Shape ``(V, V)``.
    """
    if not isinstance(matrix, Tensor):
        raise DataError(name, "a tensor, a row per label", type(matrix).__name__)
    if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix) or not matrix.is_floating_point():
        raise DataError(name, "a square matrix of numbers, a row per label", f"{tuple(matrix.shape)}, {matrix.dtype}")
    wrong = (matrix < 0) | ~matrix.isfinite()
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        raise DataError(name, "probabilities >= 0", f"{matrix[row, column]:g} in row {row}")
    sums = matrix.double().sum(1)
    if ((sums - 1).abs() > 1e-3).any():
        row = int(((sums - 1).abs() > 1e-3).nonzero()[0])
        raise DataError(name, "rows of sum 1", f"{sums[row]:g} in row {row}")


def read_soft_labels(file: Path, label_names: Sequence[str]) -> Tensor:
    """Return the soft labels of a file in the order of ``label_names``, rows normalized to sum 1.

    Args:
        file: ``.csv``: a header with the label names, then one row per label, matched by name (the format of
            ``labelemb export --to csv``); rows that do not begin with a name are in the order of the header.
            ``.npy`` or ``.safetensors`` with a single tensor: in the order of ``label_names``.
        label_names: Names of the V labels.

    Returns:
        fp32, shape ``(V, V)``.

    Raises:
        DataError: The file is missing, damaged, or does not fit the labels.
    """
    if not file.is_file():
        raise DataError(str(file), FORMATS, "no such file")
    readers = {".csv": _read_csv, ".npy": _read_npy, ".safetensors": _read_safetensors}
    if file.suffix not in readers:
        raise DataError(str(file), FORMATS, f"the suffix {file.suffix!r}")
    matrix = readers[file.suffix](file, label_names)
    if matrix.shape != (len(label_names), len(label_names)):
        expected = f"a {len(label_names)} x {len(label_names)} matrix"
        raise DataError(str(file), expected, " x ".join(map(str, matrix.shape)))
    check_soft_labels(str(file), matrix)
    return (matrix.double() / matrix.double().sum(1, keepdim=True)).float()


def _read_csv(file: Path, label_names: Sequence[str]) -> Tensor:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header, *rows = [[unprotect(cell) for cell in row] for row in csv.reader(lines) if row]
    except (ValueError, csv.Error) as error:  # ValueError: empty file, or not UTF-8
        raise DataError(str(file), "a header with label names and a row per label", error) from error
    named = len(header) == len(rows) + 1
    names = header[1:] if named else header
    row_names = [row[0] for row in rows] if named else names
    if sorted(names) != sorted(label_names):
        missing = [name for name in label_names if name not in names] or [n for n in names if n not in label_names]
        expected = f"a header with the {len(label_names)} label names"
        raise DataError(str(file), expected, f"{len(names)} ({', '.join(missing) or 'a duplicate'})")
    if len(rows) != len(names) or sorted(row_names) != sorted(names):
        raise DataError(str(file), "a row for each label of the header", f"{len(rows)} rows")
    try:
        values = torch.tensor([[float(value) for value in (row[1:] if named else row)] for row in rows])
    except ValueError as error:
        raise DataError(str(file), f"{len(names)} numbers in each row", error) from error
    row_order, column_order = (
        torch.tensor([order.index(name) for name in label_names]) for order in (row_names, names)
    )
    return values[row_order][:, column_order] if values.shape == (len(names), len(names)) else values


def _read_npy(file: Path, label_names: Sequence[str]) -> Tensor:
    values = read_arrays(file, FORMATS).get("")
    if values is None or values.dtype.kind not in "iuf":
        raise DataError(str(file), FORMATS, "no array of numbers")
    return torch.from_numpy(values.astype("float64"))


def _read_safetensors(file: Path, label_names: Sequence[str]) -> Tensor:
    tensors, _ = read_tensors(file, FORMATS)
    if len(tensors) != 1:
        raise DataError(str(file), FORMATS, f"{len(tensors)} tensors ({', '.join(sorted(tensors))})")
    return next(iter(tensors.values())).double()
