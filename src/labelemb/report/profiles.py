"""Performance profiles and average ranks of the methods that several experiments share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelemb.errors import DataError
from labelemb.methods import BASELINE
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_rank
from labelemb.stats.ranks import CriticalDifference, critical_difference
from labelemb.stats.several import Estimate, improvements, performance_profile

Values = dict[str, dict[str, dict[int, float]]]  # experiment -> method -> seed -> primary metric


@dataclass(frozen=True)
class SeveralExperiments:
    """Profiles and ranks over several experiments.

    Attributes:
        reference: Method that the others are compared with.
        methods: Methods that every experiment has.
        thresholds: Improvements in percent at which the profiles are read.
        profiles: Method -> share of runs at each threshold.
        ranks: Average ranks; None for fewer than three common methods.
    """

    reference: str
    methods: list[str]
    thresholds: list[float]
    profiles: dict[str, list[Estimate]]
    ranks: CriticalDifference | None


def profile_experiments(experiments: Sequence[Experiment], reference: str | None = None) -> SeveralExperiments | None:
    """Return profiles of the improvement over the reference in percent, and ranks, of the methods all experiments have.

    Args:
        experiments: Two or more.
        reference: Method to compare with. None: cross entropy if present, otherwise the first common method.

    Returns:
        None where there is nothing to compare: a single experiment, or fewer than two common methods.
    """
    values = {each.name: _primary(each) for each in experiments}
    common = set.intersection(*(set(found) for found in values.values())) if values else set()
    methods = sorted(common, key=method_rank)
    reference = reference or (BASELINE if BASELINE in common else next(iter(methods), None))
    if len(experiments) < 2 or len(methods) < 2 or reference not in common:
        return None
    return _compare(values, methods, reference, {each.name: each.primary_metric.lower for each in experiments})


def _primary(experiment: Experiment) -> dict[str, dict[int, float]]:
    key = f"test_{experiment.primary_metric.key}"
    return {method: found for method, group in experiment.groups.items() if (found := group.last(key))}


def _compare(
    values: Values, methods: Sequence[str], reference: str, lower: Mapping[str, bool]
) -> SeveralExperiments | None:
    """Compare the methods; ``lower``: experiment -> whether lower values of its metric are better."""
    try:
        gains = {
            method: {name: improvements(found[reference], found[method], lower[name]) for name, found in values.items()}
            for method in methods
            if method != reference
        }
        every = [gain for found in gains.values() for runs in found.values() for gain in runs]
        thresholds = np.linspace(min(0.0, *every), max(0.0, *every), 41).tolist()
        profiles = {method: performance_profile(found, thresholds) for method, found in gains.items()}
    except DataError:  # no shared seed, or a reference value of 0
        return None
    return SeveralExperiments(reference, list(methods), thresholds, profiles, _ranks(values, methods, lower))


def _ranks(values: Values, methods: Sequence[str], lower: Mapping[str, bool]) -> CriticalDifference | None:
    if len(methods) < 3:
        return None
    means: Mapping[str, Mapping[str, float]] = {
        name: {method: (1 if lower[name] else -1) * float(np.mean(list(found[method].values()))) for method in methods}
        for name, found in values.items()
    }
    return critical_difference(means)
