"""What a gain costs: methods that win on the primary metric and lose on likelihood or calibration."""

from dataclasses import dataclass

from labelemb.report.comparison import MethodComparison, MethodResult, compare_methods
from labelemb.report.experiment import Experiment
from labelemb.report.findings import is_significant
from labelemb.report.methods import method_title
from labelemb.report.metric import Metric
from labelemb.runs import RunFolder
from labelemb.stats.paired import paired_difference

_RELATIVE = 0.1  # a smaller loss, as a share of the reference, is not reported
_PROBABILITY_METRICS = {"nll", "ece"}
_ELSEWHERE = "labelemb.calibrate_head"  # for models that another program has trained


@dataclass(frozen=True)
class Tradeoff:
    """A method that is better by the primary metric and worse by another one.

    Attributes:
        method: Name of the method.
        gain: What is better, "1.69 points fewer errors" for example.
        cost: What is worse, "ECE 1.42 → 32.81 %" for example; empty for nothing.
        command: Command or function that calibrates a run of the method; None if its calibration is not worse.
    """

    method: str
    gain: str
    cost: str
    command: str | None


def tradeoffs(experiment: Experiment, reference: str | None = None) -> list[Tradeoff]:
    """Return gain and cost of each method that is significantly better by the primary metric.

    A metric is a cost when the 95 % interval of the paired difference lies on the worse side of 0 and the mean is worse
    by more than 10 % of the reference.

    Args:
        experiment: Experiment with its runs.
        reference: As in ``compare_methods``.
    """
    comparison = compare_methods(experiment, reference)
    if comparison is None:
        return []
    found = []
    for result in comparison.others:
        if is_significant(result) and result.paired is not None and result.paired.mean > 0:
            costs = [m for m in comparison.metrics if _is_worse(experiment, comparison, result, m)]
            changes = ", ".join(_change(metric, comparison, result) for metric in costs)
            calibrate = any(metric.key in _PROBABILITY_METRICS for metric in costs)
            command = _calibration(experiment.groups[result.method].runs[0].folder) if calibrate else None
            found.append(Tradeoff(result.method, _gain(comparison, result.paired.mean), changes, command))
    return found


def tradeoff_sentences(experiment: Experiment, reference: str | None = None) -> list[str]:
    """Return a sentence for each method that has a cost."""
    return [
        f"{experiment.name}: {method_title(found.method)}: {found.gain}, but {found.cost}"
        + (f": calibrate with {found.command}" if found.command else "")
        for found in tradeoffs(experiment, reference)
        if found.cost
    ]


def _calibration(run: RunFolder) -> str:
    return f"labelemb evaluate {run.path} --calibrate" if run.config().get("dataset") else _ELSEWHERE


def _is_worse(experiment: Experiment, comparison: MethodComparison, result: MethodResult, metric: Metric) -> bool:
    if metric == comparison.primary or metric.key in ("adaptive_ece", "brier"):  # these repeat ECE and NLL
        return False
    groups, key, sign = experiment.groups, f"test_{metric.key}", 1 if metric.lower else -1
    paired = paired_difference(groups[comparison.reference].last(key), groups[result.method].last(key))
    if paired is None or paired.low is None or paired.high is None:
        return False
    nearest = max(sign * paired.low, sign * paired.high)  # the end of the interval in the direction of better
    mean = comparison.of(comparison.reference).summaries[metric.key].mean
    return nearest < 0 and abs(paired.mean) > _RELATIVE * abs(mean)


def _gain(comparison: MethodComparison, mean: float) -> str:
    metric = comparison.primary
    if metric.key == "error":
        return f"{mean:.2f} points fewer errors"
    return f"{mean:.2f} points {'lower' if metric.lower else 'higher'} {metric.name}"


def _change(metric: Metric, comparison: MethodComparison, result: MethodResult) -> str:
    values = [metric.format(one.summaries[metric.key].mean) for one in (comparison.of(comparison.reference), result)]
    return f"{metric.name} {' → '.join(values)}" + (f" {metric.unit}" if metric.unit else "")
