"""Decoded images kept as one file, so that a data set is decoded once. Nobody has to know that the file is there."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from labelemb.files import cache_folder
from labelemb.tasks.vision.images import Images, digest_of
from labelemb.tensor_files import write_tensors

FORMAT = "labelemb.images.v2"  # a change of what decoding gives needs another one
ABANDONED = 3600  # seconds since a file was last written to


@dataclass(frozen=True)
class Decoded:
    """Splits by name ("train", "test", ...), the label names in order, and whether any image came from JPEG bytes."""

    splits: dict[str, Images]
    label_names: tuple[str, ...]
    jpeg: bool = False


def cached(name: str, sources: Iterable[str], decode: Callable[[], Decoded]) -> Decoded:
    """Return what was decoded before from the same sources, else decode and keep it.

    name     begins the file's name
    sources  what the images depend on: digests of files, choices

    A file that is damaged is made again; where none can be written the images are decoded each time.
    """
    key = hashlib.sha256(json.dumps([FORMAT, *sources]).encode()).hexdigest()
    file = cache_folder() / "images" / f"{name}-{key[:24]}.safetensors"
    found = _read(file)
    if found is None:
        found = decode()
        with contextlib.suppress(OSError):  # a full or read-only disk is no reason not to train
            _write(file, found)
    return found


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(file: Path, decoded: Decoded) -> None:
    tensors: dict[str, Tensor] = {}
    for split, images in decoded.splits.items():
        tensors |= {f"{split}.pixels": images.pixels.contiguous(), f"{split}.labels": images.labels.contiguous()}
    facts = {
        "splits": list(decoded.splits),
        "label_names": decoded.label_names,
        "jpeg": decoded.jpeg,
        "sha256": digest_of(decoded.splits.values()),
    }
    metadata = {"format": FORMAT, "facts": json.dumps(facts, ensure_ascii=False)}
    for partial in file.parent.glob(".*.partial*"):  # of processes that were killed while they wrote
        if time.time() - partial.stat().st_mtime > ABANDONED:
            partial.unlink(missing_ok=True)
    write_tensors(file, tensors, metadata)


def _read(file: Path) -> Decoded | None:
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as content:
            facts = json.loads(content.metadata()["facts"])
            splits = {
                split: Images(content.get_tensor(f"{split}.pixels"), content.get_tensor(f"{split}.labels"))
                for split in facts["splits"]
            }
        names = tuple(map(str, facts["label_names"]))
        intact = digest_of(splits.values()) == facts["sha256"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return Decoded(splits, names, bool(facts["jpeg"])) if intact else None
