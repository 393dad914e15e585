"""Where and how the runs of a command are trained: processes, threads, a cluster, a share of them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from labelemb.cli.parser import Parser
from labelemb.errors import ConfigError, check_at_least_one
from labelemb.training.engines import Engine, LocalEngine
from labelemb.training.multirun import PlannedRun

MOST = 1024


def add_execution(parser: Parser) -> None:
    """Add the options that ``execution_of`` reads."""
    jobs = "runs at a time, each in a process of its own; default: 1, with ray as many as the cluster has room for"
    parser.add_argument("--jobs", type=int, help=jobs)
    text = "threads per run; default: that of the preset, or 1 with --jobs or ray, else all cores"
    parser.add_argument("--threads", type=int, help=text)
    text = "where runs are trained: processes of this machine, or the machines of a Ray cluster"
    parser.add_argument("--engine", type=Literal["local", "ray"], default="local", help=text)
    parser.add_argument("--gpus", type=float, help="GPUs per run with ray, such as 0.25 for four runs per GPU")
    text = "train only the I-th of N equal shares of the runs, I from 1 to N: for a job array"
    parser.add_argument("--shard", type=str, metavar="I/N", help=text)


@dataclass(frozen=True)
class Execution:
    """Where and how the runs of a command are trained.

    Args:
        engine: "local" or "ray".
        jobs: Runs at a time; None: 1, or with ray as many as there is room for.
        threads: Threads per run; None: 1 with several jobs or ray, else all cores.
        gpus: GPUs per run with ray.
        shard: Index from 1 on, and number of shares.
    """

    engine: str = "local"
    jobs: int | None = None
    threads: int | None = None
    gpus: float = 0.0
    shard: tuple[int, int] = (1, 1)

    def share_of(self, plan: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Return consecutive runs: a plan is ordered by seed, so that each share holds all methods of its seeds."""
        index, count = self.shard
        return list(plan[len(plan) * (index - 1) // count : len(plan) * index // count])

    @property
    def is_share(self) -> bool:
        """Whether other processes train other shares of the runs."""
        return self.shard[1] > 1

    def in_this_process(self, runs: int) -> bool:
        """Return whether so many runs are trained one after another in this process."""
        return self.engine == "local" and (runs == 1 or _is_launched())

    @property
    def summary(self) -> str:
        """One line on the threads of a run; "" where it has all the cores."""
        number = self.threads or (1 if (self.jobs or 1) > 1 or self.engine == "ray" else None)
        return "" if number is None else f"{number} thread{'s' * (number > 1)} per run; --threads N for another number"

    def set_threads(self) -> None:
        """Set the threads of this process."""
        if self.threads or (self.jobs or 1) > 1:
            torch.set_num_threads(self.threads or 1)

    def engine_for(self, runs: int) -> Engine:
        """Return the engine for a number of runs. Raises ConfigError when the cluster cannot do them."""
        if self.engine == "ray":
            from labelemb.training.engines.ray import RayEngine

            return RayEngine.connect(self.threads or 1, self.gpus, self.jobs)
        jobs = min(self.jobs or 1, runs)
        return LocalEngine(jobs, self.threads or (1 if jobs > 1 else torch.get_num_threads()))


def execution_of(chosen: Any) -> Execution:
    """Return the execution that the parsed options describe. Raises ConfigError."""
    for name in ("jobs", "threads"):
        if getattr(chosen, name) is not None:
            check_at_least_one(name, getattr(chosen, name), MOST)
    if chosen.engine == "ray" and _is_launched():
        raise ConfigError("engine", "local in a run of several processes", "ray")
    if chosen.gpus is not None and chosen.engine != "ray":
        raise ConfigError("gpus", "--engine ray as well", chosen.gpus)
    gpus = chosen.gpus or 0.0
    if not (0 <= gpus < 1 or (gpus <= MOST and gpus == int(gpus))):
        raise ConfigError("gpus", "a number from 0 to 1, or a whole number", gpus)
    return Execution(chosen.engine, chosen.jobs, chosen.threads, gpus, _shard_of(chosen.shard))


def _shard_of(text: str | None) -> tuple[int, int]:
    if text is None:
        return (1, 1)
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    index, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= index <= count:
        raise ConfigError("shard", "I/N with I from 1 to N, such as 2/8", repr(text))
    return index, count


def _is_launched() -> bool:
    """Whether a launcher such as torchrun started several processes, which train one run together."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
