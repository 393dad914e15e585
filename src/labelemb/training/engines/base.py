"""What all engines share: the interface, how a task ended, and doing one task in a worker."""

import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from labelemb.errors import LabelembError, RunBusyError


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Args:
        number: Index of the task.
        seconds: Duration.
        failure: Why it was not done, or None.
        traceback: Traceback of an unexpected failure, one that is not a ``LabelembError``.
        busy: Whether it was not done because another process is doing it.
    """

    number: int
    seconds: float = 0.0
    failure: str | None = None
    traceback: str | None = None
    busy: bool = False


class Engine(Protocol):
    """Runs tasks in other processes; a process that dies takes down nothing but its own task."""

    def do_all(self, tasks: Sequence[Callable[[], object]]) -> Generator[Outcome | None]:
        """Run all tasks and yield each outcome when it is there, in any order.

        Yields None about once a second while nothing ends. The tasks end with this process, and when the generator is
        closed.

        Args:
            tasks: Picklable functions.
        """
        ...


def perform(task: Callable[[], object], number: int, threads: int) -> Outcome:
    """Do one task in a worker process, and report how it ended instead of raising.

    Args:
        task: The task.
        number: Its index.
        threads: Torch threads to use: results are bit-identical for the same number only.
    """
    torch.set_num_threads(threads)
    start, outcome = time.perf_counter(), Outcome(number)
    try:
        task()
    except RunBusyError as error:
        outcome = Outcome(number, failure=str(error), busy=True)
    except LabelembError as error:
        outcome = Outcome(number, failure=str(error))
    except Exception as error:  # reported to the user by the parent
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
        outcome = Outcome(number, failure=failure, traceback=traceback.format_exc())
    return replace(outcome, seconds=time.perf_counter() - start)
