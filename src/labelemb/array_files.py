"""NumPy files: equal arrays are written as equal bytes; nothing in a file that is read is executed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.files import write_atomically

LARGEST = 2**31  # bytes of all arrays together


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as a compressed archive; equal arrays give equal bytes.

    Args:
        path: File to write.
        arrays: Name -> array; floats are stored as float32, integers as the smallest unsigned type that holds them.
    """
    compact = {name: _compact(values) for name, values in arrays.items()}
    # Without allow_pickle=False: NumPy before 2.1 would store it as an array of that name. No array holds objects.
    write_atomically(path, lambda file: np.savez_compressed(file, **compact))  # type: ignore[arg-type]


def read_arrays(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    """Read a ``.npz`` file, or a ``.npy`` file as one array with the name "".

    Args:
        path: File to read.
        expected: What the file should be, for error messages.

    Raises:
        DataError: It is missing, not a regular file, too large or damaged, or it holds objects.
    """
    if not path.is_file():
        raise DataError(str(path), expected, "not a regular file" if path.exists() else "no such file")
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"": content}
            return {name: content[name] for name in content.files}
    except ValueError as error:
        advice = "allow_pickle" in str(error)  # numpy's message advises to load the file all the same
        reason = "a damaged file, or one with objects other than numbers and texts" if advice else error
        raise DataError(str(path), expected, reason) from error
    except Exception as error:  # a damaged file can fail anywhere inside the readers of zip files and arrays
        raise DataError(str(path), expected, str(error) or "a damaged file") from error


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
