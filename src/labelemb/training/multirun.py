"""Several runs at a time: each in a process of its own, with a live table of their progress."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from labelemb.errors import escape_control
from labelemb.files import write_text
from labelemb.runs import Line, RunFolder
from labelemb.training.engines import Engine, Outcome
from labelemb.training.progress import say

METRICS = ("valid_error", "test_error", "test_exact", "test_bleu", "test_rougeL")


@dataclass(frozen=True)
class PlannedRun:
    """A run to do.

    Args:
        run: Its folder.
        method: Its row in the live table.
        check: Raises LabelembError if the run cannot start; writes nothing. Returns a summary of data and model.
        train: Trains it; must be picklable.
        metrics: Keys of the history line to print at its end, the most important last.
    """

    run: RunFolder
    method: str
    check: Callable[[], Sequence[str] | None]
    train: Callable[[], None]
    metrics: Sequence[str] = METRICS

    @property
    def name(self) -> str:
        """PRESET/METHOD/seed-N."""
        return "/".join(self.run.path.parts[-3:])


@dataclass
class NotDone:
    """The runs that were not done, by name.

    Attributes:
        failed: Those that failed.
        busy: Those that another process was training.
    """

    failed: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)

    def note(self, planned: PlannedRun, outcome: Outcome) -> str:
        """Keep how a run ended; return a line about it."""
        failure = outcome.failure
        planned.run.fetch(checkpoints=False)  # another machine may have trained it
        if failure is None and not planned.run.finished:  # a worker wrote to a disk of its own
            failure = f"it ended, but {planned.run.path} is not complete: --out must be a disk that all machines share"
        if failure is None:
            return closing_line(planned, outcome.seconds)
        if outcome.busy:
            self.busy.append(planned.name)
            return f"{planned.name}  BUSY: {failure}"
        self.failed.append(planned.name)
        return _failure_line(planned, failure, outcome.traceback)


def run_all(plan: Sequence[PlannedRun], engine: Engine, console: Console) -> NotDone:
    """Do all unfinished runs; those that fail are reported and do not stop the rest.

    Each run resumes from its own checkpoint, so the same command continues after an interruption.

    Args:
        plan: The runs.
        engine: Where they are trained.
        console: Where to print.
    """
    left = [planned for planned in plan if not planned.run.finished]
    not_done = NotDone()
    with (
        contextlib.closing(engine.do_all([planned.train for planned in left])) as outcomes,
        Live(console=console, auto_refresh=False, transient=True) as live,
    ):
        for outcome in outcomes:
            if outcome is not None:
                planned = left[outcome.number]
                say(console, not_done.note(planned, outcome))
            if console.is_terminal:
                live.update(progress_table(plan, not_done), refresh=True)
    return not_done


def progress_table(plan: Sequence[PlannedRun], not_done: NotDone) -> Table:
    """Return the state of all runs, read from disk: a row per method, with the mean metric of finished runs."""
    table = Table("method", "done", "running (evaluations)", "failed", "mean, last epoch", box=None)
    for method in dict.fromkeys(planned.method for planned in plan):
        mine = [planned for planned in plan if planned.method == method]
        done = [planned.run for planned in mine if planned.run.finished]
        open_runs = [
            planned.run for planned in mine if not planned.run.finished and planned.name not in not_done.failed
        ]
        running = [f"{run.path.name} ({len(run.history())})" for run in open_runs if run.config_file.is_file()]
        row_failed = sum(planned.name in not_done.failed for planned in mine)
        mean = _mean_metric([_last_line(run) for run in done], mine[0].metrics)
        cells = (method, f"{len(done)}/{len(mine)}", ", ".join(running), str(row_failed or ""), mean)
        table.add_row(*(Text(escape_control(cell)) for cell in cells))
    return table


def _mean_metric(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Return the last of the metrics that all lines have, and its mean."""
    shared = [key for key in metrics if lines and all(key in line for line in lines)]
    return f"{shared[-1]} {fmean(line[shared[-1]] for line in lines):.2f}{_unit(shared[-1])}" if shared else ""


def _failure_line(planned: PlannedRun, failure: str, traceback: str | None) -> str:
    """Return why a run failed; write the traceback of an unexpected failure to its folder."""
    line = f"{planned.name}  FAILED: {failure}"
    if traceback is None:
        return line
    try:
        write_text(planned.run.error_file, traceback)
    except OSError as error:  # a full disk may be the cause
        return f"{line} (and no traceback could be written: {error})"
    return f"{line} (traceback in {planned.run.error_file})"


def _last_line(run: RunFolder) -> Line:
    """Return the last evaluation of a run; empty for a run whose history is gone."""
    return (run.history() or [{}])[-1]


def closing_line(planned: PlannedRun, seconds: float) -> str:
    """Return the results of a finished run in one line."""
    last = _last_line(planned.run)
    metrics = "  ".join(f"{key} {last[key]:.2f}{_unit(key)}" for key in planned.metrics if key in last)
    end = f"stopped early, epoch {last['epoch']}" if planned.run.stopped_early else "last epoch"
    return f"{planned.name}  {metrics}  ({end}; {seconds:.0f} s)"


def _unit(metric: str) -> str:
    return " %" if metric.endswith(("_error", "_exact")) else ""
