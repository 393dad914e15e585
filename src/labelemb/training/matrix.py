"""Many runs side by side: whole runs in worker processes, one live table, nothing lost when killed."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table

from labelemb.errors import LabelembError
from labelemb.runs import RunFolder


@dataclass(frozen=True)
class PlannedRun:
    """A run to do.

    run    its folder
    mode   its row in the live table
    check  raises LabelembError when the run cannot start; writes nothing
    train  does the run; must pickle
    """

    run: RunFolder
    mode: str
    check: Callable[[], object]
    train: Callable[[], None]

    @property
    def name(self) -> str:
        """Return PRESET/MODE/seed-N."""
        return "/".join(self.run.path.parts[-3:])


@dataclass(frozen=True)
class Failure:
    """A run that did not end, and why, in one line."""

    planned: PlannedRun
    reason: str


def run_matrix(plan: Sequence[PlannedRun], jobs: int, threads: int | None, console: Console) -> list[Failure]:
    """Do all runs that are not finished, ``jobs`` at a time.

    Each is in a process with ``threads`` threads (None: one if jobs > 1, else all).

    A failed run is reported and does not stop the rest. Each run resumes by itself, so a killed matrix started again
    goes on where it was; the workers die with this process.
    """
    threads = threads or (1 if jobs > 1 else torch.get_num_threads())
    failures: list[Failure] = []
    context = multiprocessing.get_context("spawn")  # a fork would share the parent's thread pools and locks
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(threads,)) as pool:
        left = [planned for planned in plan if not planned.run.finished]
        waiting: dict[Future[float], PlannedRun] = {pool.submit(train_timed, planned): planned for planned in left}
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while waiting:
                done, _ = wait(waiting, timeout=1.0)
                for future in done:
                    planned = waiting.pop(future)
                    failure = _failure(future, planned)
                    failures += [failure] if failure else []
                    line = (
                        f"{planned.name}  FAILED: {failure.reason}"
                        if failure
                        else closing_line(planned, future.result())
                    )
                    console.print(line, highlight=False, soft_wrap=True)
                if console.is_terminal:
                    live.update(matrix_table(plan, failures), refresh=True)
    return failures


def matrix_table(plan: Sequence[PlannedRun], failures: Sequence[Failure]) -> Table:
    """Return what is on the disk now, a row per mode: how far, and the mean error of the runs that are done."""
    table = Table("mode", "done", "running (epoch)", "failed", "test error %, last epoch", box=None)
    failed = {failure.planned.name for failure in failures}
    for mode in dict.fromkeys(planned.mode for planned in plan):
        mine = [planned for planned in plan if planned.mode == mode]
        histories = {planned.name: planned.run.history() for planned in mine}
        done = [planned for planned in mine if planned.run.finished]
        running = [
            f"{planned.run.path.name} ({histories[planned.name][-1]['epoch']})"
            for planned in mine
            if histories[planned.name] and not planned.run.finished and planned.name not in failed
        ]
        errors = [histories[planned.name][-1].get("test_error") for planned in done]
        known = [error for error in errors if error is not None]
        mean = f"{sum(known) / len(known):.2f}" if known else ""
        row_failed = sum(planned.name in failed for planned in mine)
        table.add_row(mode, f"{len(done)}/{len(mine)}", ", ".join(running), str(row_failed or ""), mean)
    return table


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)  # an orphan would hold the run folder against the same command started again

    threading.Thread(target=follow, daemon=True).start()


def train_timed(planned: PlannedRun) -> float:
    """Do a run; return the seconds it took."""
    start = time.perf_counter()
    planned.train()
    return time.perf_counter() - start


def _failure(future: Future[float], planned: PlannedRun) -> Failure | None:
    error = future.exception()
    if error is None:
        return None
    if isinstance(error, BrokenProcessPool):
        return Failure(planned, "its process ended abruptly (killed, or out of memory)")
    kind = "" if isinstance(error, LabelembError) else f"{type(error).__name__}: "
    return Failure(planned, kind + " ".join(str(error).split()))


def closing_line(planned: PlannedRun, seconds: float) -> str:
    """Say how a run ended, in one line."""
    last = planned.run.history()[-1]
    figures = "  ".join(f"{key} {last[key]:.2f} %" for key in ("valid_error", "test_error") if key in last)
    return f"{planned.name}  {figures}  (last epoch; {seconds:.0f} s)"
