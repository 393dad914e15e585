"""Writing safetensors files that are byte-identical for equal content."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from labelemb.files import write_atomically


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically; equal tensors and metadata give equal bytes.

    Args:
        path: File to write.
        tensors: Tensors by name.
        metadata: Strings by name.

    Raises:
        OSError: The file cannot be written.
    """
    content = save(dict(tensors), dict(metadata))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(metadata.items()))  # safetensors writes these in random order
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # the data stays aligned
    parts = (len(text).to_bytes(8, "little"), text, memoryview(content)[start:])
    write_atomically(path, lambda file: file.writelines(parts))
