"""NumPy archives of a run: compact, reproducible, and read without executing anything from the file."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.files import write_atomically


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as a compressed archive; equal arrays give equal bytes.

    Args:
        path: File to write.
        arrays: Name -> array; floats are stored as float32, integers as the smallest unsigned type that holds them.
    """
    compact = {name: _compact(values) for name, values in arrays.items()}
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **compact))


def read_arrays(path: Path, content: str) -> dict[str, NDArray[Any]]:
    """Read what ``write_arrays`` wrote; empty when there is no such file.

    Args:
        path: File to read.
        content: What the file holds, for the error.

    Raises:
        DataError: The file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(str(path), content, " ".join(str(error).split()) or "a damaged file") from error


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
