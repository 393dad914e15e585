"""Worker processes on this machine; if a worker crashes, only its current task fails.

``concurrent.futures`` and pebble do not guarantee that: after some kills their whole pool is broken. Ray does, but is
a large package that takes seconds to start: it is an extra for several machines.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from labelemb.training.engines.base import Outcome, perform

# A fork of this process would share its thread pools and locks. The fork server has none: it has only imported, once
# for all workers, torch, the training loop and torch._dynamo, which every optimizer imports when it is made.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["labelemb.training.runner", "torch._dynamo"])
ABRUPT = "its process ended abruptly (killed, or out of memory)"


@dataclass
class Worker:
    """A worker process, the connection to it and the index of its current task."""

    process: BaseProcess
    connection: Connection
    number: int


@dataclass(frozen=True)
class LocalEngine:
    """Worker processes on this machine.

    Args:
        jobs: Number of worker processes.
        threads: Torch threads of each.
    """

    jobs: int
    threads: int

    def do_all(self, tasks: Sequence[Callable[[], object]]) -> Generator[Outcome | None]:
        """Run all tasks, ``jobs`` at a time; see ``Engine``."""
        waiting = deque(enumerate(tasks))
        workers: list[Worker] = []
        try:
            while waiting or workers:
                while waiting and len(workers) < self.jobs:
                    workers.append(_start(*waiting.popleft(), self.threads))
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
    process = CONTEXT.Process(target=_serve, args=(remote, threads, dict(os.environ)))
    process.start()
    remote.close()
    with contextlib.suppress(OSError):  # if it is dead already, _receive will report that
        connection.send((task, number))
    return Worker(process, connection, number)


def _send_next(worker: Worker, waiting: deque[tuple[int, Callable[[], object]]]) -> bool:
    """Send the next task; return False, leaving it in the queue, if the worker has died since its last outcome."""
    try:
        number, task = waiting[0]
        worker.connection.send((task, number))
    except OSError:
        return False
    worker.number, _ = waiting.popleft()
    return True


def _receive(worker: Worker) -> tuple[Outcome, bool]:
    """Return the outcome of the worker's task, and whether the worker is alive."""
    try:
        return worker.connection.recv(), True
    except (EOFError, ConnectionResetError):
        return Outcome(worker.number, failure=ABRUPT), False


def _stop(worker: Worker) -> None:
    worker.connection.close()
    worker.process.kill()  # a killed run resumes from its checkpoint
    worker.process.join()


def _serve(connection: Connection, threads: int, environment: dict[str, str]) -> None:
    """Run the tasks that arrive until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    os.environ.clear()  # the fork server's environment is that of the first call
    os.environ.update(environment)
    _die_with_parent()
    while True:
        try:
            task, number = connection.recv()
        except EOFError:
            return
        connection.send(perform(task, number, threads))


def _die_with_parent() -> None:
    """End this process when its parent dies: an orphan would keep its run folder locked."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
