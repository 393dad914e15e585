"""Time programs in alternation within one run, so that other load on the machine affects all of them equally."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from labelemb.runs.provenance import collect_provenance


@dataclass(frozen=True)
class Timing:
    """Seconds per round, without warm-up."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the median in seconds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the 20 % and 80 % quantiles in seconds."""
        fifths = statistics.quantiles(self.samples, n=5)
        return fifths[0], fifths[-1]

    def over(self, other: "Timing") -> float:
        """Return the median over rounds of this time divided by the other's."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.samples, other.samples, strict=True))


def time_interleaved(
    callables: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    rest: float = 0.0,
) -> dict[str, Timing]:
    """Time each callable once per round, in alternating order, so that no one always profits from the cache.

    Args:
        callables: What to time, by name.
        repeats: Number of measured rounds.
        warmup: Number of rounds before them that are not measured.
        clock: Function that returns the time in seconds.
        rest: Seconds to wait before each call, for background work of the previous one.
    """
    samples: dict[str, list[float]] = {name: [] for name in callables}
    for number in range(-warmup, repeats):
        for name, call in list(callables.items())[:: -1 if number % 2 else 1]:
            _synchronize()
            time.sleep(rest)
            start = clock()
            call()
            _synchronize()
            if number >= 0:
                samples[name].append(clock() - start)
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def clock() -> Callable[[], float]:
    """Return the clock: CPU time for a single thread on a CPU (other load matters less), else wall-clock time."""
    single = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time if single else time.perf_counter


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep this many processes busy with additions of Python integers; each takes a core and next to no memory."""
    started = [subprocess.Popen([sys.executable, "-c", "n = 0\nwhile True: n += 1"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def describe_machine() -> str:
    """Return hardware, threads, versions and commit in one line."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    provenance = collect_provenance(0, "", device)
    return ", ".join(
        f"{key} {provenance[key]}" for key in ("machine", "device", "threads", "torch", "labelemb", "git_commit")
    )


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
