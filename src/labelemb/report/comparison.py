"""Comparison of all methods of an experiment with a reference method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from labelemb.errors import ConfigError
from labelemb.methods import BASELINE
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.report.metric import ERROR, METRICS_OF, SEVERITY_METRICS, Metric
from labelemb.stats.paired import PairedDifference, Summary, holm, paired_difference, summarize
from labelemb.stats.pairs import testable

MISSING = "–"


@dataclass(frozen=True)
class MethodResult:
    """Results of one method.

    Attributes:
        method: Name of the method.
        summaries: Metric key -> mean and standard deviation over the seeds, on test data after the last epoch.
        absolute: Improvement of the primary metric over the reference, difference of the means over all seeds.
        seconds: Median training time per epoch.
        paired: Improvement on shared seeds with its interval; None for the reference and without a shared seed.
        p: p-value of ``paired``, Holm-corrected for the number of tested methods; None without a test.
        differences: Improvement of each shared seed, by seed.
    """

    method: str
    summaries: dict[str, Summary]
    absolute: float
    seconds: float | None
    paired: PairedDifference | None
    p: float | None
    differences: dict[int, float]


@dataclass(frozen=True)
class MethodComparison:
    """All methods of an experiment compared with ``reference``.

    Attributes:
        experiment: Name of the experiment.
        reference: Name of the reference method.
        primary: Metric that decides.
        metrics: Metrics that some run has.
        results: One entry per method.
    """

    experiment: str
    reference: str
    primary: Metric
    metrics: tuple[Metric, ...]
    results: tuple[MethodResult, ...]

    @property
    def severity_metrics(self) -> tuple[Metric, ...]:
        """Return the metrics of the severity of errors and of the order by confidence, which have their own table."""
        return tuple(metric for metric in self.metrics if metric in SEVERITY_METRICS)

    @property
    def others(self) -> list[MethodResult]:
        """Return the results of all methods but the reference."""
        return [result for result in self.results if result.method != self.reference]

    def of(self, method: str) -> MethodResult:
        """Return the results of a method."""
        return next(result for result in self.results if result.method == method)


@lru_cache(maxsize=64)
def compare_methods(experiment: Experiment, reference: str | None = None) -> MethodComparison | None:
    """Compare the finished runs of all methods by the primary metric.

    Args:
        experiment: Experiment with its runs.
        reference: Method to compare with. None: cross entropy if present, otherwise the first method.

    Returns:
        None when fewer than two methods have the metric (fewer than one where the output is text).

    Raises:
        ConfigError: The experiment has no such method.
    """
    primary, known = experiment.primary_metric, METRICS_OF["seq2seq" if experiment.is_text else "vision"]
    values = {
        method: {metric.key: group.last(f"test_{metric.key}") for metric in known}
        for method, group in experiment.groups.items()
        if group.last(f"test_{primary.key}")
    }
    if reference is not None and reference not in experiment.groups:
        expected = f"a method of {experiment.name} ({', '.join(experiment.groups)})"
        raise ConfigError("reference", expected, repr(reference))
    if len(values) < (1 if experiment.is_text else 2) or (reference is not None and reference not in values):
        return None
    reference = reference or (BASELINE if BASELINE in values else next(iter(values)))
    results = _results(experiment, values, reference, primary)
    metrics = tuple(metric for metric in known if any(metric.key in result.summaries for result in results))
    return MethodComparison(experiment.name, reference, primary, metrics, results)


def _results(
    experiment: Experiment, values: Mapping[str, Mapping[str, dict[int, float]]], reference: str, primary: Metric
) -> tuple[MethodResult, ...]:
    """Return a result per method. values: method -> metric key -> seed -> value."""
    sign = 1 if primary.lower else -1
    costs = {
        method: {seed: sign * value for seed, value in metrics[primary.key].items()}
        for method, metrics in values.items()
    }
    base = costs[reference]
    paired = {method: paired_difference(base, cost) for method, cost in costs.items() if method != reference}
    corrected = holm(testable({method: found for method, found in paired.items() if found}))
    return tuple(
        MethodResult(
            method,
            {key: summary for key, seeds in metrics.items() if (summary := summarize(list(seeds.values())))},
            fmean(base.values()) - fmean(costs[method].values()),
            experiment.groups[method].seconds,
            paired.get(method),
            corrected.get(method),
            {seed: base[seed] - cost for seed, cost in costs[method].items() if seed in base and method != reference},
        )
        for method, metrics in values.items()
    )


def severity_cells(comparison: MethodComparison) -> list[list[str]]:
    """Return the cells of the table of severity and confidence: a header, then a row per method."""
    metrics = comparison.severity_metrics
    rows = [["method", *(metric.title for metric in metrics)]]
    for result in comparison.results:
        cells = [format_summary(result.summaries.get(metric.key), metric, metric == metrics[0]) for metric in metrics]
        rows.append([method_title(result.method), *cells])
    return rows


def comparison_cells(comparison: MethodComparison) -> list[list[str]]:
    """Return the cells of the table: a header, then a row per method."""
    metrics = [metric for metric in comparison.metrics if metric not in SEVERITY_METRICS]
    better = f"better than {method_title(comparison.reference)} by (95 %)"
    timed = ["seconds per epoch"] if comparison.primary != ERROR else []  # image tasks have the time in another table
    rows = [["method", *(metric.title for metric in metrics), better, "p", *timed]]
    for result in comparison.results:
        cells = [
            format_summary(result.summaries.get(metric.key), metric, metric == comparison.primary) for metric in metrics
        ]
        difference = MISSING if result.paired is None else format_difference(result.paired)
        row = [method_title(result.method), *cells, difference, _p(result)]
        seconds = MISSING if result.seconds is None else f"{result.seconds:.3g}"
        rows.append([*row, seconds] if timed else row)
    return rows


def compare_all(experiments: Sequence[Experiment], reference: str | None = None) -> list[MethodComparison]:
    """Compare the methods of each experiment that has several. Raises as ``compare_methods`` does."""
    return [found for experiment in experiments if (found := compare_methods(experiment, reference))]


def format_p(p: float) -> str:
    """Return a p-value for a table cell.

    Example:
        >>> format_p(0.00001), format_p(0.00012), format_p(0.047), format_p(0.25)
        ('< 0.0001', '0.0001', '0.047', '0.25')
    """
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_equation(p: float) -> str:
    """Return a p-value for a sentence.

    Example:
        >>> p_equation(0.00001), p_equation(0.047)
        ('p < 0.0001', 'p = 0.047')
    """
    shown = format_p(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def format_difference(difference: PairedDifference) -> str:
    """Return ``mean (low to high)`` in points, without the interval where there is none."""
    bounds = "" if difference.low is None else f" ({difference.low:.2f} to {difference.high:.2f})"
    return f"{difference.mean:.2f}{bounds}"


def format_summary(summary: Summary | None, metric: Metric, with_count: bool) -> str:
    """Return ``mean ± deviation (n)``.

    Args:
        summary: Mean and deviation, None for a dash.
        metric: Decides the number of digits.
        with_count: Whether to add the number of seeds.
    """
    if summary is None:
        return MISSING
    deviation = "" if summary.sd is None else f" ± {metric.format(summary.sd)}"
    count = f" ({summary.n})" if with_count else ""
    return f"{metric.format(summary.mean)}{deviation}{count}"


def _p(result: MethodResult) -> str:
    if result.paired is None:
        return MISSING
    return "too few seeds" if result.p is None else format_p(result.p)
