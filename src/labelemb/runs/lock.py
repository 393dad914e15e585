"""File locks that end with the process that holds them, however it dies."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

# What flock answers on file systems without it, such as some network mounts.
UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


class LockBusyError(Exception):
    """Another process, or another lock of this process, holds the lock."""


@contextmanager
def hold_lock(path: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock on a file, made if need be, for the length of a ``with`` block.

    The operating system releases the lock when its process ends, even by ``kill -9``. Where the file system has no
    locks, a file with the process id takes their place; it is ignored once that process is gone.

    Args:
        path: Lock file. It stays when the lock is released.
        timeout: Seconds to wait while another process holds the lock.

    Raises:
        LockBusyError: Another holder still had the lock after ``timeout`` seconds.
        OSError: The lock cannot be taken for another reason, such as missing permission.
    """
    lock = _acquire(path, timeout)
    try:
        yield
    finally:
        lock.release()


def _acquire(path: Path, timeout: float) -> BaseFileLock:
    try:
        try:
            lock: BaseFileLock = FileLock(path, timeout=timeout)
            lock.acquire(poll_interval=0.05)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            lock = SoftFileLock(path.with_name(f"{path.name}.pid"), timeout=timeout)
            lock.acquire(poll_interval=0.05)
    except Timeout:
        raise LockBusyError(str(path)) from None
    return lock
