"""Safetensors files: reading those of unknown origin, and writing equal content as equal bytes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from labelemb.errors import DataError
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


def read_tensors(path: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file and its metadata, by name.

    Args:
        path: File to read.
        expected: What the file should be, for error messages.

    Raises:
        DataError: It is missing, not a regular file or damaged.
    """
    if not path.is_file():
        raise DataError(str(path), expected, "not a regular file" if path.exists() else "no such file")
    try:
        with _utf8_path(path) as name, safe_open(name, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:  # a damaged file, or one of no known kind
        raise DataError(str(path), expected, getattr(error, "strerror", None) or error) from error


@contextmanager
def _utf8_path(path: Path) -> Iterator[Path]:
    """Yield a path of a file that is UTF-8, as safetensors needs it: where its own is not, that of a descriptor."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield Path(f"/dev/fd/{file.fileno()}")
    else:
        yield path
