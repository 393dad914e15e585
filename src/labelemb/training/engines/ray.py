"""Runs as tasks of a Ray cluster: several machines, or one that Ray starts here.

A task whose worker or machine dies is started again, on another machine if need be; its run resumes from its last
checkpoint. Tasks end when this process does.
"""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.exceptions import RayError

from labelemb.errors import ConfigError
from labelemb.training.engines.base import Outcome, perform

RETRIES = 3  # of a task whose process or machine dies
LOST = f"its process or machine was lost {RETRIES + 1} times (killed, or out of memory)"


@dataclass(frozen=True)
class RayEngine:
    """Tasks of the Ray cluster that this process is connected to.

    Args:
        threads: CPUs that a task reserves, and its torch threads.
        gpus: GPUs that a task reserves; a fraction shares one.
        jobs: Tasks at a time; None: as many as the cluster has room for.
    """

    threads: int = 1
    gpus: float = 0.0
    jobs: int | None = None

    @classmethod
    def connect(cls, threads: int = 1, gpus: float = 0.0, jobs: int | None = None) -> "RayEngine":
        """Connect to the cluster at RAY_ADDRESS, or start Ray on this machine.

        Raises:
            ConfigError: There is no cluster at RAY_ADDRESS, or Ray on this machine has too little room for a task.
        """
        address = os.environ.get("RAY_ADDRESS")
        if not ray.is_initialized():
            try:
                ray.init(include_dashboard=None if address else False, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError("RAY_ADDRESS", "the address of a Ray cluster", repr(address), str(error)) from error
        if not address:
            found = ray.cluster_resources()
            for name, needed, resource in (("threads", threads, "CPU"), ("gpus", gpus, "GPU")):
                if needed > found.get(resource, 0):
                    has = f"at most {found.get(resource, 0):g}, the {resource}s of this machine"
                    raise ConfigError(name, has, needed, "For other machines set RAY_ADDRESS")
        return cls(threads, gpus, jobs)

    def do_all(self, tasks: Sequence[Callable[[], object]]) -> Generator[Outcome | None]:
        """Run all tasks; see ``Engine``."""
        remote = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=RETRIES)(_perform_in)
        folder, waiting = str(Path.cwd()), list(enumerate(tasks))[::-1]
        running: dict[ray.ObjectRef, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (self.jobs or len(tasks)):
                    number, task = waiting.pop()
                    running[remote.remote(folder, task, number, self.threads)] = number
                ended, _ = ray.wait(list(running), timeout=1.0)
                if not ended:
                    yield None
                for reference in ended:
                    yield _outcome_of(reference, running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)  # a run that is killed resumes from its checkpoint


def _perform_in(folder: str, task: Callable[[], object], number: int, threads: int) -> Outcome:
    """Do a task in the working directory of the process that asked for it, since paths are relative to it."""
    try:
        os.chdir(folder)
    except OSError as error:
        expected = f"to start the command in a folder that all machines share, such as one on a network disk ({folder})"
        failure = ConfigError("working directory", expected, f"{error.strerror} on {os.uname().nodename}")
        return Outcome(number, failure=str(failure))
    return perform(task, number, threads)


def _outcome_of(reference: "ray.ObjectRef", number: int) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except RayError as error:
        lost = type(error).__name__ in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "LocalRayletDiedError")
        return Outcome(number, failure=LOST if lost else f"{type(error).__name__}: {' '.join(str(error).split())}")
    return outcome
