"""Toy data sets in every form that the readers know; downloads and decoded images go to a folder of the test's own."""

import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from labelemb.tasks.vision.images import Images


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def toy_images(count: int, labels: int, seed: int) -> Images:
    """Each label is a color with noise on it."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % labels
    color = np.stack([label * 255 // labels, 255 - label * 255 // labels, label * 97 % 256], axis=1)
    pixels = np.clip(color[:, :, None, None] + rng.integers(-40, 40, (count, 3, 32, 32)), 0, 255).astype(np.uint8)
    return Images(torch.from_numpy(pixels), torch.from_numpy(label.astype(np.int64)))


def encode(pixels: torch.Tensor, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, kind)
    return file.getvalue()


def write_parquet(file: Path, images: Images, names: list[str], label: str = "label", kind: str = "PNG") -> None:
    rows = [{"bytes": encode(pixels, kind), "path": None} for pixels in images.pixels]
    features = {"img": {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
    table = pa.table(
        {
            "img": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            label: pa.array(images.labels.tolist()),
        }
    )
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), file)


def as_python2(value: object) -> bytes:
    """Pickle like Python 2 did: protocol 2, strings without an encoding."""
    raw = pickle.dumps(value, protocol=2)
    return raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_members(folder: Path, members: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members.items():
        (folder / name).write_bytes(content)


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)


def cifar10_members(form: str, train: Images, test: Images, names: list[str]) -> dict[str, bytes]:
    parts = {f"data_batch_{n + 1}": train[slice(10 * n, 10 * n + 10)] for n in range(5)} | {"test_batch": test}
    if form == "python":
        batches = {
            name: as_python2({b"data": part.pixels.flatten(1).numpy(), b"labels": part.labels.tolist()})
            for name, part in parts.items()
        }
        return batches | {"batches.meta": as_python2({b"label_names": [name.encode() for name in names]})}
    batches = {f"{name}.bin": records([part.labels], part.pixels) for name, part in parts.items()}
    return batches | {"batches.meta.txt": ("\n".join(names) + "\n\n").encode()}


def records(labels: list[torch.Tensor], pixels: torch.Tensor) -> bytes:
    columns = [*(label[:, None].to(torch.uint8) for label in labels), pixels.flatten(1)]
    return torch.cat(columns, dim=1).numpy().tobytes()
