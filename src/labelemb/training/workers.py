"""Worker processes that each do one thing after another; a dead one takes nothing with it but what it was doing."""

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
    """How a piece of work ended: its number in the list, the seconds it took, and why it failed, or None.

    traceback  of a failure that is no mistake in what was asked
    """

    number: int
    seconds: float
    failure: str | None
    traceback: str | None = None


@dataclass
class Worker:
    """A process, the line to it, and the number of what it is doing."""

    process: BaseProcess
    line: Connection
    number: int


def do_all(work: Sequence[Callable[[], object]], jobs: int, threads: int) -> Iterator[Outcome | None]:
    """Do everything, ``jobs`` at a time, each in a process with that many threads; yield each outcome as it comes.

    Yields None once a second when nothing ended. The work must pickle. The processes die with this one, and when the
    iterator is closed.
    """
    waiting = deque(enumerate(work))
    workers: list[Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_start(*waiting.popleft(), threads))
            ready = wait([worker.line for worker in workers], timeout=1.0)
            if not ready:
                yield None
            for worker in [worker for worker in workers if worker.line in ready]:
                outcome, alive = _outcome(worker)
                if not (alive and waiting and _hand(worker, waiting)):
                    workers.remove(worker)
                    _stop(worker)
                yield outcome
    finally:
        for worker in workers:
            _stop(worker)


def _start(number: int, task: Callable[[], object], threads: int) -> Worker:
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_serve, args=(there, threads))
    process.start()
    there.close()
    with contextlib.suppress(OSError):  # dead already: its line says so when it is asked for the outcome
        here.send(task)
    return Worker(process, here, number)


def _hand(worker: Worker, waiting: deque[tuple[int, Callable[[], object]]]) -> bool:
    """Give the worker what is next; False, and nothing taken, when it has died since its last answer."""
    try:
        worker.line.send(waiting[0][1])
    except OSError:
        return False
    worker.number, _ = waiting.popleft()
    return True


def _outcome(worker: Worker) -> tuple[Outcome, bool]:
    """Take the answer of a worker; it is alive unless the line is cut."""
    try:
        seconds, failure, trace = worker.line.recv()
    except (EOFError, ConnectionResetError):
        return Outcome(worker.number, 0.0, ABRUPT), False
    return Outcome(worker.number, seconds, failure, trace), True


def _stop(worker: Worker) -> None:
    worker.line.close()
    worker.process.kill()  # what it was doing resumes from its checkpoint
    worker.process.join()


def _serve(line: Connection, threads: int) -> None:
    """Do what comes down the line, until it is cut."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(threads)
    _die_with_parent()
    while True:
        try:
            task = line.recv()
        except EOFError:
            return
        start = time.perf_counter()
        failure, trace = None, None
        try:
            task()
        except Exception as error:  # told to the person in front of the parent, who sees every run's fate
            failure = " ".join(str(error).split())
            if not isinstance(error, LabelembError):
                failure, trace = f"{type(error).__name__}: {failure}", traceback.format_exc()
        line.send((time.perf_counter() - start, failure, trace))


def _die_with_parent() -> None:
    """End this process when its parent dies: an orphan would hold its run folder against the same command."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
