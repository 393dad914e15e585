"""Locks: of this machine, released when their process ends, and leases, which hold over network file systems."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, SoftFileLock, Timeout

# What flock answers on file systems without it, such as some network mounts.
UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
# A lease may be taken over when its file has not been touched for so long. All machines must agree on it.
LEASE_SECONDS = 30.0


class LockBusyError(Exception):
    """Another process, or another lock of this process, holds the lock."""


class LeaseLostError(Exception):
    """Another process has taken a lease over, because this one did not renew it in time."""


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


@contextmanager
def hold_lease(path: Path, seconds: float = LEASE_SECONDS) -> Iterator[Callable[[], None]]:
    """Hold a lease for the length of a ``with`` block: a file that names its holder and is touched regularly.

    Locks of the operating system may hold on one machine only when the disk is a network file system; a lease needs
    no more than creating and renaming files. The lease of a process that died on this machine is taken over at once,
    that of another machine when its file has stayed untouched for ``seconds`` on this machine's clock.

    Args:
        path: The file; removed at the end.
        seconds: Time without renewal after which others may take the lease; the same for all that share the file.

    Yields:
        A function that raises LeaseLostError once another process has taken the lease over, such as after this
        process was suspended; call it before each write to what the lease protects.

    Raises:
        LockBusyError: The lease is held, and its holder is alive.
        OSError: The file cannot be written.
    """
    lease = SoftFileLease(path, lease_duration=seconds, timeout=2 * seconds)
    try:
        lease.acquire(poll_interval=min(0.25, seconds / 20), cancel_check=_is_renewed(path))
    except Timeout:
        raise LockBusyError(str(path)) from None

    def check() -> None:
        if lease.compromise is not None:
            raise LeaseLostError(str(path))

    try:
        yield check
    finally:
        lease.release()


def lease_holder(path: Path) -> str:
    """Return who holds a lease, such as "process 123 on node-4"; "another process" where that cannot be read."""
    with suppress(OSError, ValueError):
        owner = SoftFileLease(path, lease_duration=LEASE_SECONDS).owner
        if owner is not None:
            host = owner.hostname.partition("?")[0]  # filelock may add the namespace of the process id
            return f"process {owner.pid} on {host}"
    return "another process"


def _is_renewed(path: Path) -> Callable[[], bool]:
    """Return a function that returns whether a lease file was touched since its first call: its holder is alive."""
    first: dict[int, int] = {}

    def renewed() -> bool:
        try:
            found = os.stat(path)
        except OSError:  # released, or just being taken over
            return False
        return first.setdefault(found.st_ino, found.st_mtime_ns) != found.st_mtime_ns

    return renewed


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
