"""Tables on single test examples: most confused labels, tests per pair of runs, examples that changed."""

from collections.abc import Sequence
from typing import Any

from labelemb.report.comparison import format_p
from labelemb.report.examples import GroupPredictions, confused_pairs, paired_seeds
from labelemb.report.methods import method_title
from labelemb.stats.crossed import crossed_interval
from labelemb.stats.items import changed_items, mcnemar

_MOST_CHANGED = 12


def example_tables(predictions: Sequence[GroupPredictions], reference: str) -> list[dict[str, Any]]:
    """Return the tables of an experiment, each with ``title``, ``cells`` (the first row is the header) and ``note``.

    Args:
        predictions: Test predictions of the methods.
        reference: Method that the others are compared with.
    """
    tables = [_confused(found) for found in predictions]
    base = next((found for found in predictions if found.method == reference), None)
    for other in predictions:
        if base is not None and other is not base and paired_seeds(base, other):
            tables += _paired(base, other)
    return [table for table in tables if len(table["cells"]) > 1]


def _confused(found: GroupPredictions) -> dict[str, Any]:
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
        "cells": [["label", "predicted as", "share of its examples", "test examples (wrong in so many seeds)"], *rows],
        "note": "Examples are numbered in the order of the test set, from 0.",
    }


def _paired(reference: GroupPredictions, other: GroupPredictions) -> list[dict[str, Any]]:
    """Return McNemar's test per seed, and the examples with the largest change."""
    seeds = paired_seeds(reference, other)
    before, after = reference.wrong(seeds), other.wrong(seeds)
    names = method_title(reference.method), method_title(other.method)
    tests = [mcnemar(ours, theirs) for ours, theirs in zip(before, after, strict=True)]
    rows = [[str(seed), str(t.fixed), str(t.broken), format_p(t.p)] for seed, t in zip(seeds, tests, strict=True)]
    note = "McNemar's exact test compares two trained networks, not the methods."
    if len(seeds) > 1:
        both = crossed_interval(before, after)
        note += (
            f" Over seeds and examples together, {names[1]} makes {both.mean:.2f} points fewer errors"
            f" (95 % interval {both.low:.2f} to {both.high:.2f})."
        )
    changed = [
        [str(c.item), reference.label_names[reference.labels[c.item]], f"{c.reference}", f"{c.other}"]
        for c in changed_items(before, after, _MOST_CHANGED)
    ]
    return [
        {
            "title": f"{names[1]} against {names[0]}, pair by pair",
            "cells": [["seed", f"only {names[0]} wrong", f"only {names[1]} wrong", "p"], *rows],
            "note": note,
        },
        {
            "title": f"Examples that changed most, {names[1]} against {names[0]}",
            "cells": [["test example", "label", *(f"seeds with an error, {name}" for name in names)], *changed],
            "note": f"Of {len(seeds)} seeds each.",
        },
    ]
