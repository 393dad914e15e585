"""Given soft labels: value against torch, file formats, damaged files."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from labelemb import DenseLabelEmbedding, SoftLabelMatrixLoss
from labelemb.errors import DataError
from labelemb.losses.soft_label_files import read_soft_labels
from labelemb.report.export import export_embedding

from .cases import LABELS, make_case

NAMES = ["cat", "dog", "eel"]
MATRIX = torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
CSV = "cat,dog,eel\n0.7,0.2,0.1\n0.25,0.75,0\n0,0,1\n"


def test_value_equals_the_definition() -> None:
    case = make_case("soft_label_matrix")
    torch.manual_seed(1)
    matrix = torch.rand(LABELS, LABELS, dtype=torch.float64).softmax(1)
    target = 0.3 * F.one_hot(case.targets, LABELS) + 0.7 * matrix[case.targets]
    got = SoftLabelMatrixLoss(matrix, 0.3)(case.hidden, case.head, case.targets).loss
    torch.testing.assert_close(got, F.cross_entropy(case.head(case.hidden), target))


def test_all_file_formats(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(CSV)
    (tmp_path / "named.csv").write_text("label,cat,dog,eel\neel,0,0,1\ncat,0.7,0.2,0.1\ndog,0.25,0.75,0\n")
    (tmp_path / "turned.csv").write_text("﻿eel,dog,cat\n1,0,0\n0,0.75,0.25\n0.1,0.2,0.7\n", encoding="utf-8")
    np.save(tmp_path / "m.npy", MATRIX.numpy())
    save_file({"anything": MATRIX}, tmp_path / "m.safetensors")
    for file in sorted(tmp_path.iterdir()):
        torch.testing.assert_close(read_soft_labels(file, NAMES), MATRIX, msg=file.name)


def test_exported_files_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    learned = DenseLabelEmbedding(3)
    with torch.no_grad():
        learned.weight.add_(torch.randn(3, 3))
    learned.label_names = ["eel", "cat", "dog"]
    for form in ("csv", "npy"):
        file = export_embedding(learned, form, tmp_path / f"labels.{form}")
        names = NAMES if form == "csv" else learned.label_names
        want = learned.select(names).soft_labels().detach()
        torch.testing.assert_close(read_soft_labels(file, names), want, rtol=1e-5, atol=1e-6)


def test_label_embedding_object_is_accepted() -> None:
    loss = SoftLabelMatrixLoss(DenseLabelEmbedding(3).soft_labels())
    assert not copy.deepcopy(loss).soft_labels.requires_grad


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", CSV.replace("0.7", "0.9"), "expected rows of sum 1, got 1.2 in row 0"),
        ("m.csv", CSV.replace("0.25,0.75", "-0.25,1.25"), "expected probabilities >= 0, got -0.25 in row 1"),
        ("m.csv", CSV.replace("0.7,", "inf,"), "expected probabilities >= 0, got inf in row 0"),
        ("m.csv", CSV.replace("0.7,", "nan,"), "expected probabilities >= 0, got nan in row 0"),
        ("m.csv", CSV.replace("0.7", "much"), "expected 3 numbers in each row, got could not convert"),
        ("m.csv", CSV.replace("0.7,", ""), "expected 3 numbers in each row"),
        ("m.csv", CSV.replace("eel", "fox"), r"expected a header with the 3 label names, got 3 \(eel\)"),
        ("m.csv", CSV.replace("eel", "cat"), r"expected a header with the 3 label names, got 3 \(eel\)"),
        ("m.csv", CSV.replace("0,0,1\n", ""), r"expected a header with the 3 label names|a row for each label"),
        ("m.csv", "", "expected a header with label names and a row per label"),
        ("m.csv", b"\xff\xfe\x00", "expected a header with label names"),
        ("m.npy", b"rubbish", "expected a .csv, .npy or .safetensors file"),
        ("m.safetensors", b"rubbish", "expected a .csv, .npy or .safetensors file"),
        ("m.txt", CSV, "got the suffix '.txt'"),
        ("absent.csv", None, "got no such file"),
    ],
)
def test_invalid_files_are_rejected(name: str, content: str | bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as raised:
        read_soft_labels(file, NAMES)
    assert str(file) in str(raised.value)


def test_invalid_matrices_are_rejected(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.ones((2, 3)) / 3)
    with pytest.raises(DataError, match="expected a 3 x 3 matrix, got 2 x 3"):
        read_soft_labels(tmp_path / "wide.npy", NAMES)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="objects.npy: expected a .csv, .npy or .safetensors file"):
        read_soft_labels(tmp_path / "objects.npy", NAMES)
    save_file({"a": MATRIX, "b": MATRIX.clone()}, tmp_path / "two.safetensors")
    with pytest.raises(DataError, match=r"got 2 tensors \(a, b\)"):
        read_soft_labels(tmp_path / "two.safetensors", NAMES)
    with pytest.raises(DataError, match="soft_labels: expected a square matrix of numbers"):
        SoftLabelMatrixLoss(torch.eye(3, dtype=torch.int64))
