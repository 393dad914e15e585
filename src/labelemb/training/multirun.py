"""Several runs at a time: each in a worker process, with a live table of their progress."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from labelemb.files import write_text
from labelemb.runs import Line, RunFolder
from labelemb.training.workers import Outcome, do_all

METRICS = ("valid_error", "test_error", "test_exact", "test_bleu", "test_rougeL")


@dataclass(frozen=True)
class PlannedRun:
    """A run to do.

    Args:
        run: Its folder.
        method: Its row in the live table.
        check: Raises LabelembError if the run cannot start; writes nothing.
        train: Trains it; must be picklable.
        metrics: Keys of the history line to print at its end, the most important last.
    """

    run: RunFolder
    method: str
    check: Callable[[], object]
    train: Callable[[], None]
    metrics: Sequence[str] = METRICS

    @property
    def name(self) -> str:
        """PRESET/METHOD/seed-N."""
        return "/".join(self.run.path.parts[-3:])


def run_all(plan: Sequence[PlannedRun], jobs: int, threads: int | None, console: Console) -> list[str]:
    """Do all unfinished runs; return the names of those that failed, which are reported and do not stop the rest.

    Each run resumes from its own checkpoint, so the same command continues after an interruption.

    Args:
        plan: The runs.
        jobs: Runs at a time.
        threads: Threads of each run; None: one if ``jobs`` > 1, else all cores.
        console: Where to print.
    """
    threads = threads or (1 if jobs > 1 else torch.get_num_threads())
    left = [planned for planned in plan if not planned.run.finished]
    failed: list[str] = []
    outcomes = do_all([planned.train for planned in left], jobs, threads)
    with contextlib.closing(outcomes), Live(console=console, auto_refresh=False, transient=True) as live:  # type: ignore[type-var]
        for outcome in outcomes:
            if outcome is not None:
                planned = left[outcome.number]
                failed += [planned.name] if outcome.failure else []
                line = _failure_line(planned, outcome) if outcome.failure else closing_line(planned, outcome.seconds)
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            if console.is_terminal:
                live.update(progress_table(plan, failed), refresh=True)
    return failed


def progress_table(plan: Sequence[PlannedRun], failed: Sequence[str]) -> Table:
    """Return the state of all runs, read from disk: a row per method, with the mean metric of finished runs."""
    table = Table("method", "done", "running (evaluations)", "failed", "mean, last epoch", box=None)
    for method in dict.fromkeys(planned.method for planned in plan):
        mine = [planned for planned in plan if planned.method == method]
        done = [planned.run for planned in mine if planned.run.finished]
        open_runs = [planned.run for planned in mine if not planned.run.finished and planned.name not in failed]
        running = [f"{run.path.name} ({len(run.history())})" for run in open_runs if run.config_file.is_file()]
        row_failed = sum(planned.name in failed for planned in mine)
        mean = _mean_metric([_last_line(run) for run in done], mine[0].metrics)
        cells = (method, f"{len(done)}/{len(mine)}", ", ".join(running), str(row_failed or ""), mean)
        table.add_row(*map(Text, cells))
    return table


def _mean_metric(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Return the last of the metrics that all lines have, and its mean."""
    shared = [key for key in metrics if lines and all(key in line for line in lines)]
    return f"{shared[-1]} {fmean(line[shared[-1]] for line in lines):.2f}{_unit(shared[-1])}" if shared else ""


def _failure_line(planned: PlannedRun, outcome: Outcome) -> str:
    """Return why a run failed; write the traceback of an unexpected failure to its folder."""
    line = f"{planned.name}  FAILED: {outcome.failure}"
    if outcome.traceback is None:
        return line
    try:
        write_text(planned.run.error_file, outcome.traceback)
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
