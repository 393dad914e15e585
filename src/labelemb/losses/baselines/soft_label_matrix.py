"""Soft labels of one's own: a matrix with a row for each label, from memory or from a file."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from labelemb.errors import DataError
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.terms.rows import Rows

FORMS = "a .csv, .npy or .safetensors file with one matrix"


class SoftLabelMatrixLoss(SoftTargetLoss):
    """H(t, z1) with t = beta * onehot y + (1 - beta) * M[y], a mean over rows.

    soft_labels   M, (V, V) float; row y is what label y is taught as, >= 0 and of sum 1
    beta          weight of the hard term, 0..1
    ignore_index, validate_args  as in ``RowLoss``

    Raises DataError for a matrix that is none of the kind.
    """

    mixes = True
    soft_labels: Tensor

    def __init__(
        self, soft_labels: Tensor, beta: float = 0.5, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        check_soft_labels("soft_labels", soft_labels)
        super().__init__(len(soft_labels), ignore_index, validate_args)
        check_weight("beta", beta)
        self.hard_weight = beta
        self.register_buffer("soft_labels", soft_labels.detach().clone())

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """M[y], (N, V)."""
        return self.soft_labels[rows.labels].to(like.dtype)


def check_soft_labels(name: str, matrix: Tensor) -> None:
    """Refuse what is no matrix of soft labels. Raises DataError that names the first row that is wrong."""
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
    """Return the matrix of a file for labels in the order of their names, (V, V) fp32, rows of sum 1 to the last digit.

    .csv          a header with the label names, then a row per label: matched by name (``labelemb export --to csv``);
                  rows that do not begin with their name are in the order of the header
    .npy          in the order of the labels, as is .safetensors, which holds one tensor

    Raises DataError.
    """
    if not file.is_file():
        raise DataError(str(file), FORMS, "no such file")
    readers = {".csv": _read_csv, ".npy": _read_npy, ".safetensors": _read_safetensors}
    if file.suffix not in readers:
        raise DataError(str(file), FORMS, f"the suffix {file.suffix!r}")
    matrix = readers[file.suffix](file, label_names)
    if matrix.shape != (len(label_names), len(label_names)):
        expected = f"a {len(label_names)} x {len(label_names)} matrix"
        raise DataError(str(file), expected, " x ".join(map(str, matrix.shape)))
    check_soft_labels(str(file), matrix)
    return (matrix.double() / matrix.double().sum(1, keepdim=True)).float()


def _read_csv(file: Path, label_names: Sequence[str]) -> Tensor:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header, *rows = [row for row in csv.reader(lines) if row]
    except (ValueError, csv.Error) as error:  # ValueError: also an empty file, or one that is no UTF-8
        raise DataError(str(file), "a header with label names and a row per label", error) from error
    named = len(header) == len(rows) + 1
    names = header[1:] if named else header
    of_rows = [row[0] for row in rows] if named else names
    if sorted(names) != sorted(label_names):
        missing = [name for name in label_names if name not in names] or [n for n in names if n not in label_names]
        expected = f"a header with the {len(label_names)} label names"
        raise DataError(str(file), expected, f"{len(names)} ({', '.join(missing) or 'one twice'})")
    if len(rows) != len(names) or sorted(of_rows) != sorted(names):
        raise DataError(str(file), "a row for each label of the header", f"{len(rows)} rows")
    try:
        values = torch.tensor([[float(value) for value in (row[1:] if named else row)] for row in rows])
    except ValueError as error:
        raise DataError(str(file), f"{len(names)} numbers in each row", error) from error
    down, across = (torch.tensor([order.index(name) for name in label_names]) for order in (of_rows, names))
    return values[down][:, across] if values.shape == (len(names), len(names)) else values


def _read_npy(file: Path, label_names: Sequence[str]) -> Tensor:
    try:
        values = np.load(file, allow_pickle=False)
        return torch.from_numpy(np.asarray(values, dtype=np.float64))
    except (ValueError, EOFError, TypeError, OSError) as error:
        raise DataError(str(file), FORMS, error) from error


def _read_safetensors(file: Path, label_names: Sequence[str]) -> Tensor:
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise DataError(str(file), FORMS, error) from error
    if len(tensors) != 1:
        raise DataError(str(file), FORMS, f"{len(tensors)} tensors ({', '.join(sorted(tensors))})")
    return next(iter(tensors.values())).double()
