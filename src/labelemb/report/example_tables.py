"""Tables on single examples: most confused labels, errors over seeds and examples, pairs of runs, what changed."""

from typing import Any

from labelemb.report.comparison import p_equation
from labelemb.report.examples import EVALUATIONS, GroupPredictions, confused_pairs, load_predictions, paired_seeds
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.stats.crossed import FEWEST_SEEDS, CrossedInterval, crossed_interval
from labelemb.stats.items import changed_items, mcnemar
from labelemb.stats.sentences import interval_of_size

_MOST_CHANGED = 12
Pair = tuple[GroupPredictions, GroupPredictions]  # reference, other method
Table = dict[str, Any]


def example_tables(experiment: Experiment, reference: str) -> list[Table]:
    """Return the tables of an experiment, each with ``title``, ``cells`` (the first row is the header) and ``note``.

    Args:
        experiment: Experiment with its runs.
        reference: Method that the others are compared with.
    """
    tables = [_confused(found) for found in load_predictions(experiment)]
    for pairs in _pairs_by_method(experiment, reference).values():
        tables += [_errors(pairs), _pair_by_pair(pairs)]
        tables += [_changed(pair, evaluation) for evaluation, pair in pairs.items() if evaluation.endswith("/test")]
    return [table for table in tables if len(table["cells"]) > 1]


def example_lines(experiment: Experiment, reference: str) -> list[str]:
    """Return a sentence per method on its test errors after the last epoch, over seeds and examples together."""
    lines = []
    for method, pairs in _pairs_by_method(experiment, reference).items():
        evaluation, pair = next(iter(pairs.items()))
        if both := _both(pair):
            fewer = "fewer" if both.mean >= 0 else "more"
            low, high = interval_of_size(both.mean, both.low, both.high)
            size = f"{abs(both.mean):.2f} ({low:.2f} to {high:.2f}) points {fewer} errors"
            if low == high:  # an interval of width 0 would claim an exactness that examples cannot give
                size = "the same examples are wrong"
            against = f"{method_title(method)} against {method_title(reference)}"
            counts = f"{both.seeds} seeds, {both.items} examples, {EVALUATIONS[evaluation]}"
            lines.append(f"{experiment.name}: {against}: {size}; {counts}")
    return lines


def _pairs_by_method(experiment: Experiment, reference: str) -> dict[str, dict[str, Pair]]:
    """Return method -> evaluation -> predictions of the reference and of the method, where they share a seed."""
    found: dict[str, dict[str, Pair]] = {}
    for evaluation in EVALUATIONS:
        groups = {group.method: group for group in load_predictions(experiment, evaluation)}
        for method, group in groups.items():
            if method != reference and reference in groups and paired_seeds(groups[reference], group):
                found.setdefault(method, {})[evaluation] = groups[reference], group
    return found


def _both(pair: Pair) -> CrossedInterval | None:
    """Return the reduction of the error with its interval over seeds and examples; None for too few seeds."""
    seeds = paired_seeds(*pair)
    before, after = (group.wrong(seeds) for group in pair)
    return crossed_interval(before, after) if len(seeds) >= FEWEST_SEEDS and before.shape[1] > 1 else None


def _confused(found: GroupPredictions) -> Table:
    seeds = len(found.by_seed)
    rows = [
        [
            pair.label,
            pair.predicted,
            f"{pair.percent:.1f} %",
            ", ".join(f"{i} ({n} of {seeds})" for i, n in pair.examples),
        ]
        for pair in confused_pairs(found)
    ]
    return {
        "title": f"Most confused labels, {method_title(found.method)}",
        "cells": [["label", "predicted as", "share of its examples", "test examples (seeds with this error)"], *rows],
        "note": "Examples are numbered in the order of the test set, from 0.",
    }


def _errors(pairs: dict[str, Pair]) -> Table:
    """Return the errors of both methods in every evaluation, with intervals over seeds and examples."""
    names = _names(pairs)
    rows = []
    for evaluation, pair in pairs.items():
        seeds = paired_seeds(*pair)
        errors = [f"{100 * group.wrong(seeds).mean():.2f}" for group in pair]
        both = _both(pair)
        interval = "too few seeds" if both is None else f"{both.mean:.2f} ({both.low:.2f} to {both.high:.2f})"
        rows.append([EVALUATIONS[evaluation], str(len(seeds)), str(len(pair[0].labels)), *errors, interval])
    return {
        "title": f"Errors over seeds and examples together, {names[1]} against {names[0]}",
        "cells": [
            ["evaluation", "seeds", "examples", *(f"error %, {name}" for name in names), "reduction (95 %)"],
            *rows,
        ],
        "note": "Seeds and examples are both taken as samples, so that the interval also says how much other examples "
        "would change: two-way random effects, Student's t.",
    }


def _pair_by_pair(pairs: dict[str, Pair]) -> Table:
    """Return McNemar's test of each pair of runs in every evaluation."""
    names, seeds = _names(pairs), sorted({seed for pair in pairs.values() for seed in paired_seeds(*pair)})
    rows = [[str(seed), *(_mcnemar(pair, seed) for pair in pairs.values())] for seed in seeds]
    return {
        "title": f"{names[1]} against {names[0]}, pair by pair",
        "cells": [["seed", *(EVALUATIONS[evaluation] for evaluation in pairs)], *rows],
        "note": f"Examples that only {names[0]} gets wrong / that only {names[1]} gets wrong, and the p-value of "
        "McNemar's exact test. It compares two trained networks, not the methods.",
    }


def _mcnemar(pair: Pair, seed: int) -> str:
    if seed not in paired_seeds(*pair):
        return ""
    found = mcnemar(*(group.wrong([seed])[0] for group in pair))
    return f"{found.fixed} / {found.broken}, {p_equation(found.p)}"


def _changed(pair: Pair, evaluation: str) -> Table:
    """Return the examples with the largest change."""
    reference, other = pair
    seeds, names = paired_seeds(*pair), [method_title(group.method) for group in pair]
    changed = [
        [
            str(item.item),
            reference.label_names[reference.labels[item.item]],
            f"{item.reference} {_wrong_label(reference, item.item)}".rstrip(),
            f"{item.other} {_wrong_label(other, item.item)}".rstrip(),
        ]
        for item in changed_items(reference.wrong(seeds), other.wrong(seeds), _MOST_CHANGED)
    ]
    return {
        "title": f"Examples that changed most, {names[1]} against {names[0]}, {EVALUATIONS[evaluation]}",
        "cells": [["test example", "label", *(f"seeds with an error, {name}" for name in names)], *changed],
        "note": f"Of {len(seeds)} seeds each; in brackets the label that is predicted most often instead.",
    }


def _wrong_label(group: GroupPredictions, item: int) -> str:
    """Return the most frequent wrong prediction for an example in brackets, "" when no seed is wrong."""
    wrong = [int(p.predicted[item]) for p in group.by_seed.values() if p.predicted[item] != group.labels[item]]
    return f"({group.label_names[max(sorted(set(wrong)), key=wrong.count)]})" if wrong else ""


def _names(pairs: dict[str, Pair]) -> tuple[str, str]:
    reference, other = next(iter(pairs.values()))
    return method_title(reference.method), method_title(other.method)
