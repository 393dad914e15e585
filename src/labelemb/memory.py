"""Refusing sizes that the memory of this machine cannot hold, before anything is allocated."""

import os
from contextlib import suppress
from pathlib import Path

from labelemb.errors import ConfigError

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def total_memory() -> int:
    """Return the bytes of memory that this process can have; 2**63 when the system does not tell."""
    limits = [2**63]
    with suppress(AttributeError, OSError, ValueError):  # Windows
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError):  # no such limit, or "max"
        limits.append(int(_CGROUP_LIMIT.read_text()))
    return min(limits)


def check_memory(argument: str, what: str, size: int) -> None:
    """Raise ConfigError when ``size`` bytes are more than the memory of this machine.

    Args:
        argument: Option that decides the size.
        what: What needs the memory.
        size: Bytes.
    """
    total = total_memory()
    if size > total:
        raise ConfigError(argument, f"what fits into {gigabytes(total)} of memory", f"{what}: {gigabytes(size)}")


def gigabytes(size: int) -> str:
    """Return a number of bytes as a text."""
    return f"{size / 2**30:,.1f} GB" if size < 2**60 else f"{float(min(size, 10**300)):.0e} bytes"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left, on the CPU or on a GPU."""
    kinds = (kind.__name__ for kind in type(error).__mro__)
    return bool({"MemoryError", "OutOfMemoryError"} & set(kinds)) or "DefaultCPUAllocator" in str(error)
