"""On-disk cache of decoded images."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from labelemb.files import cache_folder
from labelemb.tasks.vision.images import Images, digest_of
from labelemb.tasks.vision.lazy import LazyPixels
from labelemb.tensor_files import write_tensors

FORMAT = "labelemb.images.v2"  # increment when the decoded result changes


@dataclass(frozen=True)
class Decoded:
    """Decoded data set.

    Attributes:
        splits: Images by split name (``train``, ``test``, ...).
        label_names: Label names in index order.
        jpeg: Whether any image was decoded from JPEG.
        damaged: Why images were left out, one line each.
    """

    splits: dict[str, Images]
    label_names: tuple[str, ...]
    jpeg: bool = False
    damaged: tuple[str, ...] = ()


def cached(name: str, sources: Iterable[str], decode: Callable[[], Decoded]) -> Decoded:
    """Return cached images, or decode and cache them.

    A damaged cache file is regenerated; if the cache is not writable, the images are decoded on every call.

    Args:
        name: Prefix of the cache file's name.
        sources: Everything the images depend on, such as file digests and options; hashed into the cache key.
        decode: Function that decodes the images.

    Returns:
        The decoded images.
    """
    key = hashlib.sha256(json.dumps([FORMAT, *sources]).encode()).hexdigest()
    file = cache_folder() / "images" / f"{name}-{key[:24]}.safetensors"
    found = _read(file)
    if found is None:
        found = decode()
        if any(isinstance(images.pixels, LazyPixels) for images in found.splits.values()):
            return found
        with contextlib.suppress(OSError):  # caching is optional: the disk may be full or read-only
            _write(file, found)
    return found


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(file: Path, decoded: Decoded) -> None:
    tensors: dict[str, Tensor] = {}
    for split, images in decoded.splits.items():
        assert isinstance(images.pixels, Tensor)
        tensors |= {f"{split}.pixels": images.pixels.contiguous(), f"{split}.labels": images.labels.contiguous()}
    facts = {
        "splits": list(decoded.splits),
        "label_names": decoded.label_names,
        "jpeg": decoded.jpeg,
        "damaged": decoded.damaged,
        "sha256": digest_of(decoded.splits.values()),
    }
    metadata = {"format": FORMAT, "facts": json.dumps(facts, ensure_ascii=False)}
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
    return Decoded(splits, names, bool(facts["jpeg"]), tuple(facts.get("damaged", ()))) if intact else None
