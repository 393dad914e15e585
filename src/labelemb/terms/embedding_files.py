"""Files of label embeddings: safetensors with the label names in its metadata."""

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from labelemb.tensor_files import read_tensors, write_tensors

FORMAT = "labelemb.embedding.v1"


def write_embedding_file(
    path: Path | str, kind: str, tensors: dict[str, Tensor], label_names: Sequence[str] | None
) -> None:
    """Write a file, completely or not at all.

    Args:
        path: File to write.
        kind: Name of the storage.
        tensors: What the embedding consists of.
        label_names: One name per label; None: none.
    """
    metadata = {"format": FORMAT, "kind": kind}
    if label_names is not None:
        metadata["label_names"] = json.dumps(list(label_names), ensure_ascii=False)
    write_tensors(path, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)


def read_embedding_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors and metadata of a file.

    Raises:
        DataError: For a missing or damaged file.
    """
    return read_tensors(path, "a safetensors file with a label embedding")
