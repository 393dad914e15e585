"""Many runs side by side: whole runs in worker processes, one live table, nothing lost when killed."""

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

FIGURES = ("valid_error", "test_error", "test_exact", "test_bleu", "test_rougeL")


@dataclass(frozen=True)
class PlannedRun:
    """A run to do.

    run      its folder
    method     its row in the live table
    check    raises LabelembError when the run cannot start; writes nothing
    train    does the run; must pickle
    figures  keys of the history line to show when it has ended, the one that counts last
    """

    run: RunFolder
    method: str
    check: Callable[[], object]
    train: Callable[[], None]
    figures: Sequence[str] = FIGURES

    @property
    def name(self) -> str:
        """Return PRESET/MODE/seed-N."""
        return "/".join(self.run.path.parts[-3:])


def run_all(plan: Sequence[PlannedRun], jobs: int, threads: int | None, console: Console) -> list[str]:
    """Do all runs that are not finished, ``jobs`` at a time; return the names of those that failed.

    threads  of each run; None: one if jobs > 1, else all cores

    A failed run is reported and does not stop the rest. Each run resumes by itself, so a killed matrix started again
    goes on where it was.
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
    """Return what is on the disk now, a row per method: how far, and the mean figure of the runs that are done."""
    table = Table("method", "done", "running (evaluations)", "failed", "mean, last epoch", box=None)
    for method in dict.fromkeys(planned.method for planned in plan):
        mine = [planned for planned in plan if planned.method == method]
        done = [planned.run for planned in mine if planned.run.finished]
        open_runs = [planned.run for planned in mine if not planned.run.finished and planned.name not in failed]
        running = [f"{run.path.name} ({len(run.history())})" for run in open_runs if run.config_file.is_file()]
        row_failed = sum(planned.name in failed for planned in mine)
        mean = _mean_figure([run.history()[-1] for run in done], mine[0].figures)
        cells = (method, f"{len(done)}/{len(mine)}", ", ".join(running), str(row_failed or ""), mean)
        table.add_row(*map(Text, cells))
    return table


def _mean_figure(lines: Sequence[Line], figures: Sequence[str]) -> str:
    """Name the last of the figures that all lines have, and its mean."""
    shared = [key for key in figures if lines and all(key in line for line in lines)]
    return f"{shared[-1]} {fmean(line[shared[-1]] for line in lines):.2f}{_unit(shared[-1])}" if shared else ""


def _failure_line(planned: PlannedRun, outcome: Outcome) -> str:
    """Say why a run failed, and leave the traceback of what nobody foresaw in its folder."""
    line = f"{planned.name}  FAILED: {outcome.failure}"
    if outcome.traceback is None:
        return line
    try:
        write_text(planned.run.error_file, outcome.traceback)
    except OSError as error:  # a full disk may be why it failed
        return f"{line} (and no traceback could be written: {error})"
    return f"{line} (traceback in {planned.run.error_file})"


def closing_line(planned: PlannedRun, seconds: float) -> str:
    """Say how a run ended, in one line."""
    last = planned.run.history()[-1]
    figures = "  ".join(f"{key} {last[key]:.2f}{_unit(key)}" for key in planned.figures if key in last)
    return f"{planned.name}  {figures}  (last epoch; {seconds:.0f} s)"


def _unit(figure: str) -> str:
    return " %" if figure.endswith(("_error", "_exact")) else ""
