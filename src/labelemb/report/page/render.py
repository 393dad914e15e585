"""One HTML page that holds everything: numbers, drawing code and style, and nothing from the network."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from labelemb.files import write_text
from labelemb.methods import BASELINE
from labelemb.report.aggregate import FIGURES, Group, Task, method_name
from labelemb.report.canvas import colour_of
from labelemb.report.checks import unfinished_of, warnings_of
from labelemb.report.comparison import MethodComparison, compare_methods, comparison_cells, comparisons
from labelemb.report.curves import TEST_LABEL, Curves, curves_of
from labelemb.report.findings import pace, plural, verdict
from labelemb.report.labels import LabelView, Order
from labelemb.report.measures import TEXT_MEASURES
from labelemb.report.tables import text_table

Json = Any

_SCRIPTS = ("dom.js", "curves.js", "intervals.js", "heatmap.js", "label_map.js", "page.js")
_CURVES = {
    "test_error": f"{TEST_LABEL}, %",
    **{f"valid_{measure.key}": f"validation {measure.title}" for measure in TEXT_MEASURES if measure.key != "error"},
    "valid_error": "validation error, %",
    "train_error": "training error, %",
}
_DEVELOPMENT = {"true_label_mass": "probability of the own label", "label_entropy": "entropy of the soft labels, nats"}


@dataclass(frozen=True)
class PageContent:
    """What the page shows.

    warnings  about reading the runs; those about the runs themselves come from the tasks
    order     order of the heat map at the start
    command   what makes this report again
    reference  method that the others are compared with; None: one-hot, or the first
    """

    tasks: Sequence[Task]
    views: Sequence[LabelView]
    warnings: Sequence[str]
    order: Order
    command: str
    reference: str | None = None


def write_page(content: PageContent, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render_page(content))


def render_page(content: PageContent) -> str:
    """Return the page.

    Names of labels, tasks and notes are not trusted: they travel as JSON in which no tag can close or open, the script
    shows them as text only, and a policy lets no script run but the page's own.
    """
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
        "style": _asset("page.css"),
        "data": _safe_json(page_data(content)),
        "plain": html.escape(text_table(content.tasks, content.warnings, content.reference)),
        "script": script,
    }
    # One pass, so that nothing is looked for in what has just been filled in.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def page_data(content: PageContent) -> Json:
    """Return what the script draws, as plain lists and dictionaries."""
    tasks = content.tasks
    methods = list(dict.fromkeys(method for task in tasks for method in task.groups))
    return {
        "methods": {method: {"name": method_name(method), "colour": colour_of(method, methods)} for method in methods},
        "cross_entropy": BASELINE,
        "figures": FIGURES,
        "findings": [_finding(task, content.views, content.reference) for task in tasks],
        "modesBeside": [_beside(found) for found in comparisons(tasks, content.reference)],
        "unfinished": [line for task in tasks for line in unfinished_of(task)],
        "warnings": [*content.warnings, *(line for task in tasks for line in warnings_of(task, content.reference))],
        "table": [_row(task, group) for task in tasks for group in task.groups.values()],
        "curves": _panels(tasks, _CURVES),
        "development": _panels(tasks, _DEVELOPMENT),
        "labels": [_labels(view) for view in content.views],
        "order": content.order,
        "origins": [_origin(task) for task in tasks if any(group.runs for group in task.groups.values())],
        "command": content.command,
    }


def _asset(name: str) -> str:
    return (resources.files("labelemb.report") / name).read_text(encoding="utf-8")


def _safe_json(data: Json) -> str:
    text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Inside a string "\u003c" is "<" again, but no parser of HTML can take it for the start or the end of a tag.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(data: Json) -> Json:
    """Return it with null for infinities and NaN, of which JSON knows nothing: a diverged run has such figures."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _finding(task: Task, views: Sequence[LabelView], reference: str | None) -> Json:
    comparison = compare_methods(task, reference)
    found = []
    if comparison:
        head = comparison.head
        summaries = {standing.method: standing.summaries[head.key] for standing in comparison.standings}
        base = summaries.pop(comparison.reference)
        for standing in comparison.standings:
            if standing.method != comparison.reference:
                paired, mine = standing.paired, summaries[standing.method]
                convergence = task.convergence(standing.method)
                found.append(
                    {
                        "method": standing.method,
                        "against": comparison.reference,
                        "from": base.mean,
                        "to": mine.mean,
                        "seeds": [base.n, mine.n],
                        "measure": head.name,
                        "unit": f" {head.unit}" if head.unit else "",
                        "verdict": verdict(standing, head.lower),
                        "pace": pace(convergence, standing.method) if convergence else None,
                        "difference": paired.mean if paired else None,
                        "bounds": [paired.low, paired.high] if paired and paired.low is not None else None,
                    }
                )
    view = next((view for view in views if view.task == task.name), None)
    return {
        "task": task.name,
        "comparisons": found,
        "alike": _alike(view) if view else [],
        "drawn": f" among the {len(view.names)} drawn" if view and len(view.names) < view.num_labels else "",
        "notes": task.notes,
    }


def _beside(comparison: MethodComparison) -> Json:
    """Return the table of all methods and what its interval plot needs."""
    return {
        "task": comparison.task,
        "reference": comparison.reference,
        "measure": comparison.head.name,
        "lower": comparison.head.lower,
        "cells": comparison_cells(comparison),
        "rows": [
            {"method": s.method, "mean": s.paired.mean, "low": s.paired.low, "high": s.paired.high}
            for s in comparison.standings
            if s.paired
        ],
    }


def _alike(view: LabelView, most: int = 3) -> list[tuple[str, str, float]]:
    """Return the pairs of labels that give each other the most, each label in one pair only."""
    size = len(view.names)
    given = (view.soft_labels + view.soft_labels.T) / 2
    pairs = sorted(((given[i, j], i, j) for i in range(size) for j in range(i)), key=lambda pair: -pair[0])
    used: set[int] = set()
    chosen: list[tuple[str, str, float]] = []
    for probability, i, j in pairs:
        if not used & {i, j} and len(chosen) < most:
            used |= {i, j}
            chosen.append((view.names[j], view.names[i], round(float(probability), 5)))
    return chosen


def _row(task: Task, group: Group) -> Json:
    row: dict[str, Json] = {
        "task": task.name,
        "method": group.method,
        "seeds": [run.seed for run in group.runs],
        "unfinished": len(group.unfinished),
        "seconds": group.seconds,
    }
    for figure in FIGURES:
        if task.is_text:  # its scores are in the table of all methods
            row[figure] = None
            continue
        summary, comparison = group.summary(figure), task.compare(group.method, figure)
        row[figure] = None if summary is None else {"mean": summary.mean, "sd": summary.sd, "n": summary.n}
        if comparison and summary:
            paired = comparison.paired
            row[figure] |= {"absolute": comparison.absolute, "relative": comparison.relative}
            row[figure]["paired"] = paired and [paired.mean, paired.low, paired.high, paired.n]
    return row


def _panels(tasks: Sequence[Task], keys: dict[str, str]) -> list[Json]:
    panels = []
    for task in tasks:
        found = {
            key: [_curve(curves) for group in task.groups.values() if (curves := curves_of(group, key))]
            for key in keys
            if not (task.is_text and key.startswith("test_"))  # read once: no curve
        }
        if any(found.values()):
            series = [{"key": key, "name": keys[key], "methods": methods} for key, methods in found.items() if methods]
            panels.append({"task": task.name, "notes": task.notes, "series": series})
    return panels


def _curve(curves: Curves) -> Json:
    def rounded(points: list[tuple[float, float]]) -> Json:
        return [[round(epoch, 4), round(value, 5)] for epoch, value in points]

    seeds = [{"seed": seed, "points": rounded(points)} for seed, points in curves.seeds.items()]
    return {"method": curves.method, "seeds": seeds, "mean": rounded(curves.mean)}


def _labels(view: LabelView) -> Json:
    return {
        "task": view.task,
        "method": view.method,
        "source": view.source,
        "seeds": view.seeds,
        "names": view.names,
        # In hundred-thousandths: a third of the digits, and finer than a shade can show.
        "soft_label_matrix": (view.soft_labels * 1e5).round().astype(int).tolist(),
        "near": [[[name, round(value, 6)] for name, value in near] for near in view.near],
        "clustered": view.clustered,
        "tree": [[int(left), int(right), round(float(height), 4)] for left, right, height, _ in view.tree],
        "places": view.places.round(4).tolist(),
    }


def _origin(task: Task) -> Json:
    """Say what made the numbers of a task, a column per method; where the runs of a method differ, all values are there."""
    groups = [group for group in task.groups.values() if group.runs]
    facts = [
        [run.signature | {k: v for k, v in run.config.items() if k not in run.signature} for run in group.runs]
        for group in groups
    ]
    keys = dict.fromkeys(key for column in facts for fact in column for key in fact if key != "seed")
    return {
        "task": task.name,
        "columns": [f"{method_name(group.method)}, {_seeds(group)}" for group in groups],
        "rows": [
            [key, *("; ".join(dict.fromkeys(_shown(fact.get(key)) for fact in column)) for column in facts)]
            for key in keys
        ],
    }


def _seeds(group: Group) -> str:
    return f"{plural(len(group.runs), 'seed')}: {', '.join(str(run.seed) for run in group.runs)}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)
