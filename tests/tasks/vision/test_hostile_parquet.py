"""Parquet files that are readable and wrong: one error that names the file."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelemb.errors import DataError
from labelemb.tasks.vision.datasets.parquet import read_parquet

NAMES = ["cat", "dog"]
IMAGE = {"bytes": b"x", "path": None}
FEATURES: Any = {"img": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def write(file: Path, metadata: object, images: list[Any] | None = None, labels: list[Any] | None = None) -> None:
    table = pa.table({"img": images or [IMAGE, IMAGE], "label": labels or [0, 1]})
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    pq.write_table(table.replace_schema_metadata({"huggingface": text}), file)


def features(label: object) -> object:
    return {"info": {"features": FEATURES | {"label": label}}}


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "{",
        "[" * 100_000,
        [],
        {},
        {"info": None},
        {"info": {"features": None}},
        {"info": {"features": ["label"]}},
        features("ClassLabel"),
        features(None),
        features([]),
        *(
            features({"_type": "ClassLabel", "names": names})
            for names in (None, [], 3, "ab", [1, 2], [NAMES], {"a": 1})
        ),
        features({"_type": "ClassLabel"}),
        features({"_type": ["ClassLabel"], "names": NAMES}),
        features({"_type": "ClassLabel", "names": ["cat", "cat"]}),
    ],
)
def test_metadata(metadata: object, tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", metadata)
    with pytest.raises(DataError, match=r"train.parquet: expected a column 'label' with label names"):
        read_parquet([tmp_path / "train.parquet"], "fine")


@pytest.mark.parametrize("labels", [[True, False], [0, 2], [-1, 0], ["cat", "dog"], [0.0, 1.0], [None, 1], [[0], [1]]])
def test_labels(labels: list[Any], tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {"info": {"features": FEATURES}}, labels=labels)
    with pytest.raises(DataError, match=r"train.parquet, row \d: expected a label from 0 to 1"):
        read_parquet([tmp_path / "train.parquet"], "fine")


@pytest.mark.parametrize("images", [[{"a": 1}] * 2, [{"bytes": None}] * 2, [IMAGE, None], [{"bytes": "text"}] * 2])
def test_images(images: list[Any], tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {"info": {"features": FEATURES}}, images=images)
    with pytest.raises(DataError, match=r"train.parquet, row \d: expected the bytes of an image"):
        read_parquet([tmp_path / "train.parquet"], "fine")


@pytest.mark.parametrize("images", [[1, 2], ["a", "b"], [b"a", b"b"]])
def test_no_column_of_images(images: list[Any], tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", {"info": {"features": FEATURES}}, images=images)
    with pytest.raises(DataError, match=r"train.parquet: expected a column of images"):
        read_parquet([tmp_path / "train.parquet"], "fine")
