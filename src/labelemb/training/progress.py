"""Progress of a run on a terminal: a progress bar, and one line per evaluation."""

import multiprocessing
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from torch import Tensor

from labelemb.errors import escape_control

SHOWN = re.compile(
    r"(train|valid|test)_(?!nll|brier|ece|adaptive_ece|macro_f1|balanced_accuracy|aurc|accuracy_at|errors_in|hier)"
)


def say(console: Console, text: str) -> None:
    """Print text as it is: no colors, no markup, no wrapping; control characters are escaped."""
    console.print(escape_control(text), highlight=False, markup=False, soft_wrap=True)


class TrainingProgress:
    """A progress bar on a terminal; prints nothing elsewhere or in worker processes.

    Device values are read at most twice a second.

    Args:
        title: Name of the run.
        epochs: Epochs of the run.
        steps_per_epoch: Optimizer steps of an epoch.
        step: Number of steps done before.
        shown: Whether to print at all; False on all but one process of a distributed run.
    """

    def __init__(self, title: str, epochs: int, steps_per_epoch: int, step: int, shown: bool = True) -> None:
        self._console = Console(stderr=True)
        self._live = shown and self._console.is_terminal and multiprocessing.parent_process() is None
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            TextColumn(f"epoch {{task.fields[epoch]}}/{epochs}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            disable=not self._live,
            transient=True,
        )
        total = epochs * steps_per_epoch
        self._bar = self._progress.add_task(
            escape_control(title), total=total, completed=step, epoch=self._epoch(step), note=""
        )
        self._last = (time.monotonic(), step)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, step: int, terms: Mapping[str, Tensor], correct: Tensor | int, count: Tensor | int) -> None:
        """Update the bar with loss terms and the training error since the last evaluation, at most twice a second."""
        now = time.monotonic()
        last_time, last_step = self._last
        if not self._live or now - last_time < 0.5:
            return
        self._last = (now, step)
        shown = [
            f"{(step - last_step) / (now - last_time):.0f} steps/s",
            f"error {100 * (1 - int(correct) / max(int(count), 1)):.1f} %",
        ]
        shown += [f"{name} {float(value):.3f}" for name, value in terms.items()]
        self._progress.update(self._bar, completed=step, epoch=self._epoch(step), note="  ".join(shown))

    def line(self, line: Mapping[str, Any]) -> None:
        """Print a history line."""
        if self._live:
            metrics = [f"{key} {value:.2f}" for key, value in line.items() if SHOWN.match(key)]
            text = f"epoch {line['epoch']:3}  {'  '.join(metrics)}  {line['seconds']:.1f} s"
            say(self._console, text)

    def _epoch(self, step: int) -> int:
        return min(step // self._steps_per_epoch + 1, self._epochs)
