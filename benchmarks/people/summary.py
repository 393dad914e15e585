"""Print the tables of the comparison: python -m benchmarks.people.summary results/people/nets.jsonl

Means over the seeds with 95 % intervals (Student's t).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from labelemb.stats.paired import PairedDifference, paired_difference

Rows = Sequence[Mapping[str, Any]]
Value = Callable[[Mapping[str, Any]], float]
SOURCES = (
    ("label embedding, published form", "label_embedding", "embedding"),
    ("label embedding, recommended form", "recommended", "embedding"),
    ("matrix of online label smoothing", "ols", "ols"),
    ("one-hot: confusion matrix, test images", "cross_entropy", "confusion"),
    ("one-hot: mean softened prediction, test images", "cross_entropy", "prediction"),
    ("one-hot: mean softened prediction, training images", "cross_entropy", "prediction_train"),
    ("one-hot: cosine of the classifier's rows", "cross_entropy", "weights"),
    ("class names, cosine of MiniLM embeddings", "class_names", "names"),
)
TITLES = {
    "cross_entropy": "one-hot",
    "ols": "online label smoothing",
    "label_embedding": "label embedding, published form",
    "recommended": "label embedding, recommended form",
}
Columns = Sequence[tuple[str, Value, int]]
FIGURES: Columns = (
    ("error %", lambda row: row["test"]["error"], 2),
    ("AURC %", lambda row: row["test"]["aurc"], 2),
    ("accuracy at 80 % coverage", lambda row: row["test"]["accuracy_at_80"], 2),
)
VOTES: Columns = (
    ("cross entropy to votes", lambda row: row["votes"]["cross_entropy"], 3),
    ("after temperature scaling", lambda row: row["votes"]["scaled_cross_entropy"], 3),
)
SEVERITY: Columns = (
    ("errors in superclass %", lambda row: row["test"]["within_group"], 2),
    ("distance", lambda row: row["test"]["distance"], 3),
    ("least severe: error %", lambda row: row["test"]["least_severe_error"], 2),
    ("distance", lambda row: row["test"]["least_severe_distance"], 3),
)


def by_seed(rows: Rows, method: str, value: Value) -> dict[int, float]:
    """Return seed -> value of the runs of a method that have it."""
    found = {}
    for row in rows:
        try:
            if row["method"] == method:
                found[row["seed"]] = value(row)
        except KeyError:
            continue
    return found


def cell(values: Mapping[int, float], digits: int) -> str:
    """Return mean and 95 % interval."""
    found = paired_difference(values, dict.fromkeys(values, 0.0)) if values else None
    return "–" if found is None else shown(found, digits)


def shown(found: PairedDifference, digits: int, sign: str = "") -> str:
    """Return ``mean (low to high)``; without an interval for one seed."""
    interval = "" if found.low is None else f" ({found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f})"
    return f"{found.mean:{sign}.{digits}f}{interval}"


def agreement_table(rows: Rows, grouped: bool) -> list[list[str]]:
    """Return the agreement of each source with people, and its difference to the published label embedding."""

    def values(method: str, source: str, read: Callable[[Any], float]) -> dict[int, float]:
        return by_seed(rows, method, lambda row: read(row["agreement"][source]))

    head = ["source", "Spearman", "minus published form", "by row", "top 1", "top 3"]
    cells = [head + (["AUC, superclass"] if grouped else [])]
    reference = values("label_embedding", "embedding", lambda found: found["spearman"])
    for title, method, source in SOURCES:
        spearman = values(method, source, lambda found: found["spearman"])
        if not spearman:
            continue
        difference = paired_difference(spearman, reference)
        own = difference is None or method == "class_names" or spearman == reference
        reads: list[Callable[[Any], float]] = [
            lambda found: found["row_spearman"],
            lambda found: found["top"]["1"],
            lambda found: found["top"]["3"],
            *([lambda found: found["auc"]] if grouped else []),
        ]
        means = [values(method, source, read) for read in reads]
        plain = [f"{fmean(each.values()):.3f}" if each else "–" for each in means]
        cells.append(
            [title, cell(spearman, 3), "–" if own or difference is None else shown(difference, 3, "+"), *plain]
        )
    halves = next((row["halves"] for row in rows if row["method"] == "people"), None)
    if halves:
        blank = ["–"] * (len(cells[0]) - 2)
        cells.append(["people: random half of the votes against the other", f"{fmean(halves):.3f}", *blank])
    return cells


def method_table(rows: Rows, columns: Columns) -> list[list[str]]:
    """Return a row per method with the columns that some method has."""
    used = [column for column in columns if any(by_seed(rows, method, column[1]) for method in TITLES)]
    cells = [["method", *(title for title, _, _ in used)]]
    for method, title in TITLES.items():
        if by_seed(rows, method, used[0][1]):
            cells.append([title, *(cell(by_seed(rows, method, value), digits) for _, value, digits in used)])
    return cells


def votes_against_one_hot(rows: Rows) -> str:
    """Return the paired differences of the cross entropy to the votes, after temperature scaling, to one-hot."""
    scaled = VOTES[1][1]
    one_hot, parts = by_seed(rows, "cross_entropy", scaled), []
    for method, title in list(TITLES.items())[1:]:
        found = paired_difference(by_seed(rows, method, scaled), one_hot)
        if found is not None:
            parts.append(f"{title} {shown(found, 3, '+')}")
    entropy = next(row["votes"]["entropy"] for row in rows if "votes" in row)
    return (
        f"Cross entropy to votes after temperature scaling, minus one-hot: {'; '.join(parts)}. The entropy of the "
        f"votes, the lower bound of the cross entropy, is {entropy:.3f}."
    )


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is the header."""
    head, *rows = cells
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summary(rows: Rows) -> str:
    """Return all tables."""
    parts = []
    for name in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == name]
        if not any("test" in row for row in own):
            continue
        grouped = any("least_severe_distance" in row.get("test", {}) for row in own)
        seeds = len({row["seed"] for row in own if row["method"] == "label_embedding"})
        parts.append(f"**{name}: agreement with people, {seeds} seeds**\n\n{markdown(agreement_table(own, grouped))}")
        parts.append(f"**{name}: test images**\n\n{markdown(method_table(own, (*FIGURES, *VOTES, *SEVERITY)))}")
        if any("votes" in row for row in own):
            parts.append(votes_against_one_hot(own))
    return "\n\n".join(parts)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of raw results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    print(summary(read(Path(sys.argv[1]))))
