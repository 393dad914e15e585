"""Checkpoints: one file, written atomically, read without executing anything."""

from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import torch

from labelemb.errors import DataError
from labelemb.files import write_atomically


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, strings and plain containers of them, whole or not at all."""
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; objects of any other kind are refused, not executed.

    Raises DataError for a file that is no checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside torch's reader
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(str(path), "a checkpoint of this program", reason) from error
    if not isinstance(content, dict):
        raise DataError(str(path), "a checkpoint of this program", type(content).__name__)
    return content


def nearest_hint(path: Path) -> str:
    """Name the existing checkpoint that a missing one may have been meant to be; "" when there is none.

    Looked at is what lies up to two folders below the folders that ``path`` names, the innermost first; of several the
    one whose path resembles it most, those of the same name before all others.
    """
    folders = [folder for folder in path.parents if not path.is_absolute() or len(folder.parts) > 2]
    for folder in folders:
        found = [file for depth in ("", "*/", "*/*/") for file in sorted(folder.glob(f"{depth}*.pt")) if file.is_file()]
        if found:
            like = {file: SequenceMatcher(None, str(file), str(path)).ratio() for file in found}
            return f"There is {max(found, key=lambda file: (file.name == path.name, like[file]))}"
    return ""
