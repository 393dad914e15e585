"""All modes of a task beside one of them, the reference: means, paired differences, tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from labelemb.errors import ConfigError
from labelemb.report.aggregate import BASELINE, Task, mode_name
from labelemb.report.measures import ERROR, MEASURES, TEXT_MEASURES, Measure
from labelemb.report.statistics import PairedDifference, Summary, holm, paired_difference, summarise

MISSING = "–"
ALPHA = 0.05


@dataclass(frozen=True)
class Standing:
    """Where one mode stands.

    summaries  measure key -> over the seeds, of the test data after the last epoch
    absolute   how much better than the reference the mode is by the head measure, over all their seeds
    seconds    of an epoch's training, median
    paired     the same on shared seeds, with its interval; None for the reference, and where no seed is shared
    p          of ``paired``, corrected for the number of modes tested (Holm); None where there is no test
    """

    mode: str
    summaries: dict[str, Summary]
    absolute: float
    seconds: float | None
    paired: PairedDifference | None
    p: float | None


@dataclass(frozen=True)
class ModeComparison:
    """A task's modes against ``reference``. ``measures`` are those that some run has, ``head`` decides."""

    task: str
    reference: str
    head: Measure
    measures: tuple[Measure, ...]
    standings: tuple[Standing, ...]


def compare_modes(task: Task, reference: str | None = None) -> ModeComparison | None:
    """Compare the finished runs of all modes of a task by its head measure; None when fewer than two modes have it.

    Where the output is text, one mode is enough: its scores stand in no other table.

    reference  a mode; None: one-hot where it is there, else the first

    Raises ConfigError for a reference that the task lacks.
    """
    head, known = task.head, TEXT_MEASURES if task.is_text else MEASURES
    values = {
        mode: {measure.key: group.last(f"test_{measure.key}") for measure in known}
        for mode, group in task.groups.items()
        if group.last(f"test_{head.key}")
    }
    if reference is not None and reference not in task.groups:
        raise ConfigError("reference", f"a mode of {task.name} ({', '.join(task.groups)})", repr(reference))
    if len(values) < (1 if task.is_text else 2) or (reference is not None and reference not in values):
        return None
    reference = reference or (BASELINE if BASELINE in values else next(iter(values)))
    sign = 1 if head.lower else -1
    losses = {mode: {seed: sign * value for seed, value in found[head.key].items()} for mode, found in values.items()}
    paired = {mode: paired_difference(losses[reference], mine) for mode, mine in losses.items() if mode != reference}
    corrected = holm(_testable({mode: found for mode, found in paired.items() if found}))
    standings = []
    for mode, found in values.items():
        summaries = {key: summary for key, seeds in found.items() if (summary := summarise(list(seeds.values())))}
        absolute = fmean(losses[reference].values()) - fmean(losses[mode].values())
        seconds = task.groups[mode].seconds
        standings.append(Standing(mode, summaries, absolute, seconds, paired.get(mode), corrected.get(mode)))
    measures = tuple(m for m in known if any(m.key in standing.summaries for standing in standings))
    return ModeComparison(task.name, reference, head, measures, tuple(standings))


def _testable(paired: Mapping[str, PairedDifference]) -> dict[str, float]:
    """Return the p-values of the modes with so many pairs that even after the correction one below 0.05 is possible."""
    tested = {mode: found for mode, found in paired.items() if found.p is not None}
    # The smallest p that flipping the signs of n differences can give is 2 / 2^n.
    enough = {mode: found for mode, found in tested.items() if len(tested) * 2.0 ** (1 - found.n) < ALPHA}
    return {mode: found.p for mode, found in enough.items() if found.p is not None}


def comparison_cells(comparison: ModeComparison) -> list[list[str]]:
    """Return the table: a head, and a row per mode."""
    against = f"better than {mode_name(comparison.reference)} by (95 %)"
    timed = ["seconds per epoch"] if comparison.head != ERROR else []  # the table of errors says it elsewhere
    rows = [["mode", *(measure.title for measure in comparison.measures), against, "p", *timed]]
    for standing in comparison.standings:
        figures = [
            _summary(standing.summaries.get(measure.key), measure, measure == comparison.head)
            for measure in comparison.measures
        ]
        row = [mode_name(standing.mode), *figures, _difference(standing.paired), _p(standing)]
        seconds = MISSING if standing.seconds is None else f"{standing.seconds:.3g}"
        rows.append([*row, seconds] if timed else row)
    return rows


def comparisons(tasks: Sequence[Task], reference: str | None = None) -> list[ModeComparison]:
    """Compare the modes of every task that has several. Raises as ``compare_modes`` does."""
    return [found for task in tasks if (found := compare_modes(task, reference))]


def shown_p(p: float) -> str:
    """Write a p-value as far as it can be trusted; ``sign_flip_p`` never gives less than 0.0001.

    >>> shown_p(0.00012), shown_p(0.047), shown_p(0.25)
    ('0.0001', '0.047', '0.25')
    """
    return f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _summary(summary: Summary | None, measure: Measure, counted: bool) -> str:
    if summary is None:
        return MISSING
    deviation = "" if summary.sd is None else f" ± {measure.shown(summary.sd)}"
    count = f" ({summary.n})" if counted else ""
    return f"{measure.shown(summary.mean)}{deviation}{count}"


def _difference(paired: PairedDifference | None) -> str:
    if paired is None:
        return MISSING
    bounds = "" if paired.low is None else f" ({paired.low:.2f} to {paired.high:.2f})"
    return f"{paired.mean:.2f}{bounds}"


def _p(standing: Standing) -> str:
    if standing.paired is None:
        return MISSING
    return "too few seeds" if standing.p is None else shown_p(standing.p)
