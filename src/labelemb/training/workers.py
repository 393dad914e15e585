"""Run tasks in worker processes; if a worker crashes, only its current task fails.

``concurrent.futures`` and pebble do not guarantee that: after some kills their whole pool is broken.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from labelemb.errors import LabelembError

# A fork would share the parent's thread pools and locks.
CONTEXT = multiprocessing.get_context("spawn")
ABRUPT = "its process ended abruptly (killed, or out of memory)"


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Args:
        number: Index of the task.
        seconds: Duration.
        failure: Why it failed, or None.
        traceback: Traceback of an unexpected failure, one that is not a ``LabelembError``.
    """

    number: int
    seconds: float
    failure: str | None
    traceback: str | None = None


@dataclass
class Worker:
    """A worker process, the connection to it and the index of its current task."""

    process: BaseProcess
    connection: Connection
    number: int


def do_all(tasks: Sequence[Callable[[], object]], jobs: int, threads: int) -> Iterator[Outcome | None]:
    """Run all tasks, ``jobs`` at a time, and yield each outcome when it is there.

    Yields None once a second while nothing ends. The worker processes die with this process, and when the iterator is
    closed.

    Args:
        tasks: Picklable functions.
        jobs: Number of worker processes.
        threads: Torch threads of each.
    """
    waiting = deque(enumerate(tasks))
    workers: list[Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_start(*waiting.popleft(), threads))
            ready = wait([worker.connection for worker in workers], timeout=1.0)
            if not ready:
                yield None
            for worker in [worker for worker in workers if worker.connection in ready]:
                outcome, alive = _receive(worker)
                if not (alive and waiting and _send_next(worker, waiting)):
                    workers.remove(worker)
                    _stop(worker)
                yield outcome
    finally:
        for worker in workers:
            _stop(worker)


def _start(number: int, task: Callable[[], object], threads: int) -> Worker:
    connection, remote = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_serve, args=(remote, threads))
    process.start()
    remote.close()
    with contextlib.suppress(OSError):  # if it is dead already, _receive will report that
        connection.send(task)
    return Worker(process, connection, number)


def _send_next(worker: Worker, waiting: deque[tuple[int, Callable[[], object]]]) -> bool:
    """Send the next task; return False, leaving it in the queue, if the worker has died since its last outcome."""
    try:
        worker.connection.send(waiting[0][1])
    except OSError:
        return False
    worker.number, _ = waiting.popleft()
    return True


def _receive(worker: Worker) -> tuple[Outcome, bool]:
    """Return the outcome of the worker's task, and whether the worker is alive."""
    try:
        seconds, failure, trace = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        return Outcome(worker.number, 0.0, ABRUPT), False
    return Outcome(worker.number, seconds, failure, trace), True


def _stop(worker: Worker) -> None:
    worker.connection.close()
    worker.process.kill()  # a killed run resumes from its checkpoint
    worker.process.join()


def _serve(connection: Connection, threads: int) -> None:
    """Run the tasks that arrive until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    torch.set_num_threads(threads)
    _die_with_parent()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        start = time.perf_counter()
        failure, trace = None, None
        try:
            task()
        except Exception as error:  # reported to the user by the parent
            failure = " ".join(str(error).split())
            if not isinstance(error, LabelembError):
                failure, trace = f"{type(error).__name__}: {failure}", traceback.format_exc()
        connection.send((time.perf_counter() - start, failure, trace))


def _die_with_parent() -> None:
    """End this process when its parent dies: an orphan would keep its run folder locked."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
