"""Split row work over threads, with torch's own threads switched off in each of them.

On a CPU every operation of torch is a parallel region, at whose end all threads meet. Where another program keeps a
core busy, each operation waits for a thread that is not running. Here each thread does all the work of its own rows, or
of its own labels, and they meet once.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from threading import Barrier
from typing import TypeVar

import torch

Result = TypeVar("Result")


def cut_by_label(group: Sequence[int], count: int) -> list[slice]:
    """Cut sorted rows into at most ``count`` parts of about the same size, all rows of a label in the same one.

    Args:
        group: Label of each row, ascending.
        count: Number of parts, >= 1.

    Example:
        >>> cut_by_label([0, 0, 0, 1, 2, 2], 2), cut_by_label([0, 0], 2)
        ([slice(0, 3, None), slice(3, 6, None)], [slice(0, 2, None)])
    """
    cuts = {0, len(group)}
    for number in range(1, count if group else 1):
        wanted = number * len(group) // count
        ends = bisect_left(group, group[wanted]), bisect_right(group, group[wanted])
        cuts.add(min(ends, key=lambda end: abs(end - wanted)))
    ordered = sorted(cuts)
    return [slice(start, stop) for start, stop in pairwise(ordered)]


def cut_evenly(length: int, count: int) -> list[slice]:
    """Cut a range into at most ``count`` parts of about the same size, none of them empty.

    Example:
        >>> cut_evenly(5, 2), cut_evenly(1, 2)
        ([slice(0, 2, None), slice(2, 5, None)], [slice(0, 1, None)])
    """
    cuts = sorted({number * length // count for number in range(count + 1)})
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def in_parts(work: Callable[[int, slice], Result], parts: Sequence[slice]) -> list[Result]:
    """Return ``work(number, part)`` for each part, on a thread each where there are several.

    Without gradients; in inference mode if the caller is. Threads must not write to the same numbers.
    """
    if len(parts) < 2:
        return [work(number, part) for number, part in enumerate(parts)]
    inference = torch.is_inference_mode_enabled()

    def call(number: int) -> Result:
        with torch.inference_mode(inference), torch.no_grad():
            return work(number, parts[number])

    return list(_pool(len(parts), os.getpid()).map(call, range(len(parts))))


def _run_alone() -> None:
    torch.get_num_threads()  # the first call in a thread sets its number to that of the process
    torch.set_num_threads(1)


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads for this process (a fork has none of its parent's) that run torch's operations alone."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "labelemb-rows", initializer=_run_alone)
    started = Barrier(threads)
    list(pool.map(lambda _: started.wait(), range(threads)))
    torch.set_num_threads(before)  # each thread has its own number, but new threads start with the last one set
    return pool
