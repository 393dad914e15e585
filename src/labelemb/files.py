"""Atomic writes: a file is there whole or not at all."""

import errno
import hashlib
import io
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from labelemb.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Temporary file: .NAME.HOST.RANDOM.partial. Its writer holds a lock on it, so that others know whether it is alive.
_PARTIAL = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})\.[0-9a-f]{16}\.partial", re.DOTALL)
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
ABANDONED = 3600  # seconds without a write after which the temporary file of another machine counts as left behind


def cache_folder() -> Path:
    """Return the cache directory: $XDG_CACHE_HOME/labelemb, or ~/.cache/labelemb."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labelemb"


def is_url(text: str) -> bool:
    """Return whether a text is a URL rather than a path.

    Example:
        >>> is_url("s3://bucket/runs"), is_url("runs")
        (True, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+(::|://)", text) is not None


def check_output_folder(argument: str, folder: Path | str) -> None:
    """Refuse a folder that cannot be made or written to, before the work whose results it is for.

    Args:
        argument: Name of the option.
        folder: The folder; need not exist yet.

    Raises:
        ConfigError: For an empty name, a path through a file, and a folder without write permission.

    Example:
        >>> check_output_folder("out", "runs/new")
    """
    if not str(folder):
        raise ConfigError(argument, "a folder", repr(str(folder)))
    path = Path(folder).absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not existing.is_dir():
        raise ConfigError(argument, f"a folder ({folder})", f"{existing}, which is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(argument, f"a folder that can be written to ({folder})", f"no permission in {existing}")


def write_atomically(path: Path | str, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through a temporary file beside it, renamed when it is complete.

    A reader, or a process that was killed and started again, sees the old file or the new one, never a part. What
    killed processes left in the directory is removed. The file gets the permissions of the user's umask. A device or
    named pipe at ``path`` is written to directly.

    Args:
        path: File to write. Missing parent directories are made.
        write: Called with a file that is open for binary writing.

    Raises:
        OSError: The file cannot be written, such as on a full disk; ``filename`` is ``path``.
    """
    write_together({Path(path): write})


def write_together(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write files that belong together; whoever finds the last one finds all of them, of the same call.

    All temporary files are complete before the first is renamed, so that a full disk leaves the old files. The last
    file is removed before the others are renamed: a process that is killed between two renames leaves it missing.

    Args:
        files: Path -> what writes it, as for ``write_atomically``.

    Raises:
        OSError: A file cannot be written; ``filename`` is its path.
    """
    with ExitStack() as stack:
        temporaries = {path: _written(path, write, stack) for path, write in files.items()}
        ready = [(path, temporary) for path, temporary in temporaries.items() if temporary is not None]
        if len(ready) > 1:
            with _naming(ready[-1][0]):
                ready[-1][0].unlink(missing_ok=True)
        for path, temporary in ready:
            with _naming(path):
                os.replace(temporary, path)
    for folder in {path.parent for path, _ in ready}:
        sync_folder(folder)


def _written(path: Path, write: Callable[[BinaryIO], object], stack: ExitStack) -> Path | None:
    """Write the temporary file of ``path``, which is locked until the stack ends; None where ``path`` is a device."""
    with _naming(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            _write(os.open(path, os.O_WRONLY), write)
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary, descriptor = _make_temporary(path)
        stack.callback(temporary.unlink, missing_ok=True)
        if fcntl is not None:  # closing the file would end the lock; Windows renames no open files, and has no locks
            stack.callback(os.close, os.dup(descriptor))
        _write(descriptor, write, sync=True)
        return temporary


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a path in the errors of the system."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 with ``write_atomically``; parts of file names that are not UTF-8 are escaped."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a directory whose processes were killed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if found := _PARTIAL.fullmatch(entry.name):
                with suppress(OSError):  # its process is alive, or it is another user's
                    _remove_abandoned(entry.path, found["host"])


def _remove_abandoned(path: str, host: str) -> None:
    """Remove a temporary file unless the process that writes it is alive. Raises OSError."""
    if host == _HOST and fcntl is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # while the lock is held: see _make_temporary
        finally:
            os.close(descriptor)
    elif time.time() - os.stat(path).st_mtime > ABANDONED:  # locks need not be seen from another machine
        os.unlink(path)


def _make_temporary(path: Path) -> tuple[Path, int]:
    """Create a temporary file beside ``path`` and lock it; return its path and descriptor."""
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.with_name(f".{path.name}.{_HOST}.{secrets.token_hex(8)}.partial")
        descriptor = os.open(temporary, flags, 0o666)  # the system subtracts the umask
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # another process took it for a leftover before it was locked


def sync_folder(folder: Path) -> None:
    """Make renames in a directory survive a power failure, where the system can."""
    with suppress(OSError):  # Windows cannot open a directory; some network file systems refuse
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _File(io.FileIO):
    """Keeps the first error of a write: libraries replace it by errors of their own, without the reason."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            raise


def _write(descriptor: int, write: Callable[[BinaryIO], object], sync: bool = False) -> None:
    raw = _File(descriptor, "wb")
    file = io.BufferedWriter(raw)
    try:
        write(file)
        file.flush()
        if sync:
            os.fsync(descriptor)
    except Exception as error:
        if raw.error is not None and raw.error is not error:
            raise raw.error from error
        raise
    finally:
        with suppress(OSError):  # closing flushes again; the first error is on its way already
            file.close()
