"""Tables on the sentences of a test text: scores with their tests, pairs of runs, sentences that changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from labelemb.report.charts.style import truncate
from labelemb.report.comparison import MISSING, format_p, p_equation
from labelemb.report.corpora import GroupSentences, ScoreComparison, compare_runs, compare_scores, shared_seeds
from labelemb.report.methods import method_title
from labelemb.report.metric import Metric
from labelemb.stats.text import CorpusComparison, score_of

_MOST_CHANGED = 12
_LONGEST = 160  # characters of an output line


def corpus_tables(sentences: Sequence[GroupSentences], reference: str) -> list[dict[str, Any]]:
    """Return the tables of an experiment, each with ``title``, ``cells`` (the first row is the header) and ``note``.

    Args:
        sentences: Sentence scores of the methods.
        reference: Method that the others are compared with.
    """
    base = next((found for found in sentences if found.method == reference), None)
    pairs = [(base, other) for other in sentences if base is not None and other is not base]
    tables = [table for before, after in pairs for table in _paired(before, after)]
    return [table for table in tables if len(table["cells"]) > 1]


def corpus_lines(name: str, sentences: Sequence[GroupSentences], reference: str) -> list[str]:
    """Return a sentence for each method on the score that decides, over seeds and sentences together.

    Args:
        name: Name of the experiment.
        sentences: Sentence scores of the methods.
        reference: Method that the others are compared with.
    """
    base = next((found for found in sentences if found.method == reference), None)
    lines = []
    for other in sentences:
        if base is None or other is base or not (scores := compare_scores(base, other)):
            continue
        first = scores[0]
        against = f"{method_title(other.method)} against {method_title(reference)}"
        lines.append(f"{name}: {against}: {first.metric.name} {_scores(first)}, {_difference(first)}")
    return lines


def _scores(found: ScoreComparison) -> str:
    return f"{found.networks.reference:.2f} → {found.networks.other:.2f}"


def _difference(found: ScoreComparison) -> str:
    networks, methods = found.networks, found.methods
    over = MISSING if methods is None else f"{methods.low:.2f} to {methods.high:.2f}"
    return (
        f"difference {networks.difference:.2f} (95 % interval over {len(found.seeds)} seeds and all sentences {over}); "
        f"of these networks {p_equation(networks.p_bootstrap)} (paired bootstrap), "
        f"{p_equation(networks.p_randomization)} (approximate randomization)"
    )


def _paired(reference: GroupSentences, other: GroupSentences) -> list[dict[str, Any]]:
    scores = compare_scores(reference, other)
    if not scores:
        return []
    names = method_title(reference.method), method_title(other.method)
    return [
        _score_table(scores, names),
        _run_table(compare_runs(reference, other, scores[0].metric), names, scores[0].metric),
        _changed(reference, other, names, scores[0]),
    ]


def _score_table(scores: Sequence[ScoreComparison], names: tuple[str, str]) -> dict[str, Any]:
    """Return a row for each score, over all runs."""
    header = [
        *("score", *names, "difference", "over seeds and sentences", "over sentences"),
        *("p, bootstrap", "p, randomization"),
    ]
    rows = [
        [
            found.metric.title,
            f"{found.networks.reference:.2f}",
            f"{found.networks.other:.2f}",
            f"{found.networks.difference:.2f}",
            MISSING if found.methods is None else f"{found.methods.low:.2f} to {found.methods.high:.2f}",
            f"{found.networks.low:.2f} to {found.networks.high:.2f}",
            format_p(found.networks.p_bootstrap),
            format_p(found.networks.p_randomization),
        ]
        for found in scores
    ]
    return {
        "title": f"Scores of the test text, {names[1]} against {names[0]}",
        "cells": [header, *rows],
        "note": "The interval over seeds and sentences is about the methods. The interval over sentences and both "
        f"p-values (paired bootstrap, approximate randomization) are about these {len(scores[0].seeds)} pairs of "
        "trained networks: other seeds may decide otherwise.",
    }


def _run_table(runs: Sequence[tuple[int, CorpusComparison]], names: tuple[str, str], metric: Metric) -> dict[str, Any]:
    """Return a row for each pair of runs, by one score."""
    header = ["seed", *names, "difference (95 % over sentences)", "p, bootstrap", "p, randomization"]
    rows = [
        [
            str(seed),
            f"{run.reference:.2f}",
            f"{run.other:.2f}",
            f"{run.difference:.2f} ({run.low:.2f} to {run.high:.2f})",
            format_p(run.p_bootstrap),
            format_p(run.p_randomization),
        ]
        for seed, run in runs
    ]
    return {
        "title": f"{names[1]} against {names[0]}, pair by pair, {metric.name}",
        "cells": [header, *rows],
        "note": "Each pair of networks on the same sentences.",
    }


def _changed(
    reference: GroupSentences, other: GroupSentences, names: tuple[str, str], found: ScoreComparison
) -> dict[str, Any]:
    """Return the sentences whose score changed most, with the output lines of the first seed that both have."""
    seeds, metric = shared_seeds(reference, other), found.metric
    before, after = (_by_sentence(group, metric.key, seeds) for group in (reference, other))
    order = np.argsort(-np.abs(after - before), kind="stable")[:_MOST_CHANGED]
    lines = [group.outputs[seeds[0]] for group in (reference, other)]
    rows = [
        [
            str(int(place)),
            f"{before[place]:.1f}",
            f"{after[place]:.1f}",
            *(truncate(each[place], _LONGEST) if place < len(each) else MISSING for each in lines),
        ]
        for place in order
        if before[place] != after[place]
    ]
    scores = [f"{metric.name}, {name}" for name in names]
    return {
        "title": f"Sentences that changed most, {names[1]} against {names[0]}",
        "cells": [["test sentence", *scores, *(f"output, {name}" for name in names)], *rows],
        "note": f"{metric.title} of single sentences, mean of {len(seeds)} seeds; outputs of seed {seeds[0]}. "
        "Sentences are numbered in the order of the test text, from 0.",
    }


def _by_sentence(group: GroupSentences, score: str, seeds: Sequence[int]) -> Any:
    statistics = group.statistics(score, seeds)
    return score_of(statistics)(statistics).mean(axis=0)
