"""All methods of a task beside one of them, the reference: means, paired differences, tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from labelemb.errors import ConfigError
from labelemb.methods import BASELINE
from labelemb.report.aggregate import Task, method_name
from labelemb.report.measures import ERROR, MEASURES, TEXT_MEASURES, Measure
from labelemb.stats.paired import PairedDifference, Summary, holm, paired_difference, summarise

MISSING = "–"
ALPHA = 0.05


@dataclass(frozen=True)
class Standing:
    """Where one method stands.

    summaries  measure key -> over the seeds, of the test data after the last epoch
    absolute   how much better than the reference the method is by the head measure, over all their seeds
    seconds    of an epoch's training, median
    paired     the same on shared seeds, with its interval; None for the reference, and where no seed is shared
    p          of ``paired``, corrected for the number of methods tested (Holm); None where there is no test
    """

    method: str
    summaries: dict[str, Summary]
    absolute: float
    seconds: float | None
    paired: PairedDifference | None
    p: float | None


@dataclass(frozen=True)
class MethodComparison:
    """A task's methods against ``reference``. ``measures`` are those that some run has, ``head`` decides."""

    task: str
    reference: str
    head: Measure
    measures: tuple[Measure, ...]
    standings: tuple[Standing, ...]


def compare_methods(task: Task, reference: str | None = None) -> MethodComparison | None:
    """Compare the finished runs of all methods of a task by its head measure; None when fewer than two methods have it.

    Where the output is text, one method is enough: its scores stand in no other table.

    reference  a method; None: one-hot where it is there, else the first

    Raises ConfigError for a reference that the task lacks.
    """
    head, known = task.head, TEXT_MEASURES if task.is_text else MEASURES
    values = {
        method: {measure.key: group.last(f"test_{measure.key}") for measure in known}
        for method, group in task.groups.items()
        if group.last(f"test_{head.key}")
    }
    if reference is not None and reference not in task.groups:
        raise ConfigError("reference", f"a method of {task.name} ({', '.join(task.groups)})", repr(reference))
    if len(values) < (1 if task.is_text else 2) or (reference is not None and reference not in values):
        return None
    reference = reference or (BASELINE if BASELINE in values else next(iter(values)))
    sign = 1 if head.lower else -1
    losses = {
        method: {seed: sign * value for seed, value in found[head.key].items()} for method, found in values.items()
    }
    paired = {
        method: paired_difference(losses[reference], mine) for method, mine in losses.items() if method != reference
    }
    corrected = holm(_testable({method: found for method, found in paired.items() if found}))
    standings = []
    for method, found in values.items():
        summaries = {key: summary for key, seeds in found.items() if (summary := summarise(list(seeds.values())))}
        absolute = fmean(losses[reference].values()) - fmean(losses[method].values())
        seconds = task.groups[method].seconds
        standings.append(Standing(method, summaries, absolute, seconds, paired.get(method), corrected.get(method)))
    measures = tuple(m for m in known if any(m.key in standing.summaries for standing in standings))
    return MethodComparison(task.name, reference, head, measures, tuple(standings))


def _testable(paired: Mapping[str, PairedDifference]) -> dict[str, float]:
    """Return the p-values of the methods with so many pairs that even after the correction one below 0.05 is possible."""
    tested = {method: found for method, found in paired.items() if found.p is not None}
    # The smallest p that flipping the signs of n differences can give is 2 / 2^n.
    enough = {method: found for method, found in tested.items() if len(tested) * 2.0 ** (1 - found.n) < ALPHA}
    return {method: found.p for method, found in enough.items() if found.p is not None}


def comparison_cells(comparison: MethodComparison) -> list[list[str]]:
    """Return the table: a head, and a row per method."""
    against = f"better than {method_name(comparison.reference)} by (95 %)"
    timed = ["seconds per epoch"] if comparison.head != ERROR else []  # the table of errors says it elsewhere
    rows = [["method", *(measure.title for measure in comparison.measures), against, "p", *timed]]
    for standing in comparison.standings:
        figures = [
            _summary(standing.summaries.get(measure.key), measure, measure == comparison.head)
            for measure in comparison.measures
        ]
        row = [method_name(standing.method), *figures, _difference(standing.paired), _p(standing)]
        seconds = MISSING if standing.seconds is None else f"{standing.seconds:.3g}"
        rows.append([*row, seconds] if timed else row)
    return rows


def comparisons(tasks: Sequence[Task], reference: str | None = None) -> list[MethodComparison]:
    """Compare the methods of every task that has several. Raises as ``compare_methods`` does."""
    return [found for task in tasks if (found := compare_methods(task, reference))]


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
