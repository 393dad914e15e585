"""What a person sees while a run trains: one line that moves, and one line that stays per evaluation."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor


class TrainingProgress:
    """A bar on a terminal; silent elsewhere. Reads device values twice a second at the most."""

    def __init__(self, title: str, total_steps: int, step: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn(title),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]} {task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
            transient=True,
        )
        self._bar = self._progress.add_task("", total=total_steps, completed=step, speed="", note="")
        self._last = (time.monotonic(), step)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Show a step; most calls return at once."""
        now = time.monotonic()
        then, before = self._last
        if not self._live or now - then < 0.5:
            return
        self._last = (now, step)
        note = "  ".join(f"{name} {float(value):.3f}" for name, value in terms.items())
        self._progress.update(
            self._bar, completed=step, speed=f"{(step - before) / (now - then):.0f} steps/s", note=note
        )

    def line(self, line: Mapping[str, Any]) -> None:
        """Show a history line, for good."""
        if self._live:
            figures = "  ".join(f"{key} {value:.2f}" for key, value in line.items() if isinstance(value, float))
            self._console.print(f"epoch {line['epoch']}  {figures}", highlight=False)
