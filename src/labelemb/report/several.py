"""What several experiments show together: improvement, probability of improvement, average ranks."""

from collections.abc import Sequence
from statistics import fmean

from labelemb.report.comparison import MethodComparison, compare_all
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.stats.ranks import critical_difference
from labelemb.stats.sentences import improvement_sentence, ranks_sentence
from labelemb.stats.several import improvements, interquartile_mean, probability_of_improvement

Values = dict[str, dict[int, float]]  # method -> seed -> primary metric of the test data after the last epoch


def several_lines(experiments: Sequence[Experiment], reference: str | None = None) -> list[str]:
    """Return a sentence per method that two experiments or more compare with the same reference, and one on ranks.

    Args:
        experiments: Experiments with their runs.
        reference: Method to compare with. None: that of the first experiment, as in ``compare_methods``.
    """
    named = {experiment.name: experiment for experiment in experiments}
    found = compare_all(experiments, reference)
    found = [one for one in found if one.reference == found[0].reference]
    values = {one.experiment: _values(named[one.experiment], one) for one in found}
    if len(found) < 2:
        return []
    base = found[0].reference
    methods = dict.fromkeys(method for each in values.values() for method in each if method != base)
    lines = [line for method in methods if (line := _line(found, values, base, method))]
    return [*lines, *_ranks(found, values)]


def _values(experiment: Experiment, comparison: MethodComparison) -> Values:
    key = f"test_{comparison.primary.key}"
    return {result.method: experiment.groups[result.method].last(key) for result in comparison.results}


def _line(found: Sequence[MethodComparison], values: dict[str, Values], base: str, method: str) -> str | None:
    """Return the sentence of one method; None when fewer than two experiments have it on seeds of the reference."""
    gains, before, after = {}, {}, {}
    for one in found:
        mine, theirs = values[one.experiment].get(method, {}), values[one.experiment][base]
        shared = sorted(mine.keys() & theirs.keys())
        if not shared or any(theirs[seed] == 0 for seed in shared):  # nothing can be a share of an error of 0
            continue
        sign = 1 if one.primary.lower else -1
        gains[one.experiment] = improvements(theirs, mine, one.primary.lower)
        before[one.experiment] = [sign * value for value in theirs.values()]
        after[one.experiment] = [sign * value for value in mine.values()]
    if len(gains) < 2 or min(map(len, gains.values())) < 2:
        return None
    fewest = min(map(len, gains.values()))  # an experiment with more seeds must not count more
    gains = {name: runs[:fewest] for name, runs in gains.items()}
    mean, chance = interquartile_mean(gains), probability_of_improvement(before, after)
    against = f"{method_title(method)} against {method_title(base)}"
    return improvement_sentence(against, mean, chance, len(gains))


def _ranks(found: Sequence[MethodComparison], values: dict[str, Values]) -> list[str]:
    """Return the sentence on average ranks of the methods that all experiments have; none for fewer than three."""
    shared = [method for method in values[found[0].experiment] if all(method in each for each in values.values())]
    if len(shared) < 3:
        return []
    means = {
        one.experiment: {
            method_title(method): (1 if one.primary.lower else -1) * fmean(values[one.experiment][method].values())
            for method in shared
        }
        for one in found
    }
    return [ranks_sentence(critical_difference(means))]
