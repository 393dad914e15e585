"""Files and folders that are there whole or not at all."""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def cache_folder() -> Path:
    """Return where downloads and prepared data are kept: $XDG_CACHE_HOME/labelemb, or ~/.cache/labelemb."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labelemb"


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one step.

    A reader, or a process killed half-way and started again, sees the old file or the new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextmanager
def folder_in_one_step(path: Path | str) -> Iterator[Path]:
    """Give an empty folder beside ``path`` to fill; it takes the place of ``path`` when the block ends without error.

    Whatever stood at ``path`` is gone then: the caller has looked at it before. After an error nothing is left behind;
    what a killed process has left beside ``path`` goes when the next one comes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(path.parent, wait=True):  # nobody sweeps a workplace between its making and its lock
            _sweep(path)
            workplace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
            stack.enter_context(_locked(workplace))
        try:
            filled = workplace / "new"
            filled.mkdir()
            yield filled
            if path.exists():
                path.rename(workplace / "old")
            filled.rename(path)
        finally:
            shutil.rmtree(workplace)


def _sweep(path: Path) -> None:
    """Put ``path`` back if a process was killed between taking it away and replacing it, and clear up behind others."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.partial"):
        with suppress(FileNotFoundError), _locked(left) as ours:  # its owner may just be done with it
            if ours and not path.exists() and (left / "old").is_dir():
                (left / "old").rename(path)
            if ours:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a folder, if no other process does, and say whether; the lock goes with the process, however it dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = True
    except BlockingIOError:
        ours = False
    try:
        yield ours
    finally:
        os.close(descriptor)
