"""Peers timed in turn within one run, so that whatever slows the machine slows them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from labelemb.runs.provenance import collect_provenance


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, warm-up left out."""

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

    def over(self, peer: "Timing") -> float:
        """Return the median of the ratios of rounds: how many times as long as the peer this takes."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.samples, peer.samples, strict=True))


def interleaved(
    callables: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    rest: float = 0.0,
) -> dict[str, Timing]:
    """Call the peers in turn, ``repeats`` rounds of all, after ``warmup`` rounds that do not count.

    Every second round goes backwards: what the peer before leaves in the caches is nobody's advantage.

    clock  see ``clock``
    rest   seconds before each call, for what the peer before it still does in the background
    """
    samples: dict[str, list[float]] = {name: [] for name in callables}
    for number in range(-warmup, repeats):
        for name, call in list(callables.items())[:: -1 if number % 2 else 1]:
            _synchronise()
            time.sleep(rest)
            start = clock()
            call()
            _synchronise()
            if number >= 0:
                samples[name].append(clock() - start)
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def clock() -> Callable[[], float]:
    """Return the clock for this many threads: seconds of the processor for one on a CPU, of the wall for several.

    What else the machine does then matters little.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time if alone else time.perf_counter


def machine() -> str:
    """Say where and with what versions: a figure without it is none."""
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    signature = collect_provenance(0, "", device)
    return ", ".join(
        f"{key} {signature[key]}" for key in ("machine", "device", "threads", "torch", "labelemb", "git_commit")
    )


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
