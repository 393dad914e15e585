"""Runs as tasks of a Ray cluster: several machines, or one that Ray starts here.

A task whose worker or machine dies is started again, on another machine if need be; its run resumes from its last
checkpoint. Tasks end when this process does.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

from labelemb.errors import ConfigError
from labelemb.training.engines.base import Outcome, perform

RETRIES = 3  # of a task whose process or machine dies
CLUSTER = "the address of a running Ray cluster, such as 10.0.0.4:6379"
# Seconds that a task waits for a run that is busy: a process whose machine or driver died may live on for a while.
PATIENCE = 60.0
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
        address = os.environ.get("RAY_ADDRESS", "")
        if not ray.is_initialized():
            _check_reachable(address)
            try:
                ray.init(include_dashboard=None if address else False, log_to_driver=False, logging_level="ERROR")
            except Exception as error:  # Ray raises bare exceptions, too
                if address:
                    raise ConfigError("RAY_ADDRESS", CLUSTER, repr(address), str(error)) from error
                hint = "--engine local needs no Ray"
                raise ConfigError("engine", "that Ray starts on this machine", error, hint) from error
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
                    running[remote.remote(self, folder, task, number)] = number
                ended, _ = ray.wait(list(running), timeout=1.0)
                if not ended:
                    yield None
                for reference in ended:
                    yield _outcome_of(reference, running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)  # a run that is killed resumes from its checkpoint


def _check_reachable(address: str) -> None:
    """Raise ConfigError when nothing listens at an address; Ray would look for it for minutes."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d{1,5})", address)
    if found:
        try:
            socket.create_connection((found[1], int(found[2])), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise ConfigError("RAY_ADDRESS", CLUSTER, repr(address), str(error)) from error


def _perform_in(engine: RayEngine, folder: str, task: Callable[[], object], number: int) -> Outcome:
    """Do a task in the working directory of the process that asked for it, since paths are relative to it."""
    try:
        os.chdir(folder)
    except OSError as error:
        expected = f"to start the command in a folder that all machines share, such as one on a network disk ({folder})"
        failure = ConfigError("working directory", expected, f"{error.strerror} on {os.uname().nodename}")
        return Outcome(number, failure=str(failure))
    if not engine.gpus:  # Ray leaves all GPUs of a machine visible to a task that asks for none
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    deadline = time.monotonic() + PATIENCE
    outcome = perform(task, number, engine.threads)
    while outcome.busy and time.monotonic() < deadline:
        outcome = perform(task, number, engine.threads)
    return outcome


def _outcome_of(reference: "ray.ObjectRef", number: int) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except RayError as error:
        lost = isinstance(error, (WorkerCrashedError, NodeDiedError, OutOfMemoryError, LocalRayletDiedError))
        return Outcome(number, failure=LOST if lost else f"{type(error).__name__}: {' '.join(str(error).split())}")
    return outcome
