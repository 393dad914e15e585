"""Peak extra memory of one call, in a process of its own, where nothing is left over from other calls."""

import ctypes
import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function of a module in a new interpreter and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes(call: Callable[[], object]) -> int:
    """Return how far memory rises above where it stands, while ``call`` runs and with what it leaves behind.

    On a GPU the allocator counts. On Linux the kernel does: resident pages, the high-water mark set back beforehand.
    Make a small call of its kind before: libraries are loaded and make buffers at their first one.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    CLEAR.write_text("5", encoding="ascii")  # see proc(5): resets VmHWM
    before = _kibibytes("VmRSS")
    call()
    return 1024 * (_kibibytes("VmHWM") - before)


def _kibibytes(field: str) -> int:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise OSError(f"no {field} in {STATUS}")
