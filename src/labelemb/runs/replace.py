"""Atomic replacement of a whole directory."""

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from labelemb.files import sync_folder
from labelemb.runs.lock import LockBusyError, hold_lock


@contextmanager
def replace_folder(path: Path | str) -> Iterator[Path]:
    """Fill an empty directory that takes the place of ``path`` when the block ends without an error.

    After an error ``path`` is as it was and nothing is left behind. What a killed process left beside ``path`` is
    removed by the next call.

    Args:
        path: Directory to make or to replace. Its old content is removed.

    Yields:
        The directory to fill, beside ``path``.

    Raises:
        OSError: The directory cannot be made, filled or renamed.
    """
    path = Path(path).resolve()  # "." and "x/.." have a name and a parent then
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    with ExitStack() as stack:
        workplace = _make_workplace(path, stack)
        try:
            filled = workplace / "new"
            filled.mkdir()
            yield filled
            _swap(filled, path, workplace)
        except OSError as error:
            if error.filename is None and error.errno is not None:  # of a write to an open file
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
    shutil.rmtree(workplace, ignore_errors=True)  # where a locked file cannot be removed
    sync_folder(path.parent)


def _make_workplace(path: Path, stack: ExitStack) -> Path:
    """Make a locked directory beside ``path``; the lock tells others that its process is alive."""
    while True:
        workplace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            stack.enter_context(hold_lock(workplace / "lock"))
        except (LockBusyError, FileNotFoundError):  # another process took it for a leftover just now
            shutil.rmtree(workplace, ignore_errors=True)
            continue
        return workplace


def _swap(filled: Path, path: Path, workplace: Path) -> None:
    for attempt in range(100):
        if path.exists():
            with suppress(FileNotFoundError):  # another process is replacing it as well
                path.rename(workplace / f"old{attempt or ''}")
        try:
            filled.rename(path)
            return
        except OSError:
            if not path.exists() or attempt == 99:
                raise


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left; put ``path`` back if one died between taking it away and replacing it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.partial"):
        with suppress(LockBusyError, FileNotFoundError, NotADirectoryError):
            with hold_lock(left / "lock"):
                if not path.exists() and (left / "old").is_dir():
                    (left / "old").rename(path)
            shutil.rmtree(left, ignore_errors=True)
