"""Every pair of methods of an experiment as a table for a paper, in Markdown and LaTeX, with its provenance."""

import re
from collections.abc import Sequence

from labelemb.report.comparison import MISSING, format_difference, format_p
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.stats.equivalence import resolution_of
from labelemb.stats.pairs import Pair, all_pairs

HEADER = ("A", "B", "seeds", "B better than A by", "p", "Hedges' g", "seeds won")
_LATEX = {"\\": r"\textbackslash{}", **{char: f"\\{char}" for char in "&%$#_{}"}, "–": "--", "~": r"\textasciitilde{}"}


def pairs_of(experiment: Experiment, alike: float | None = None) -> list[Pair]:
    """Return all pairs of methods that share a seed, by the primary metric of the test data after the last epoch.

    Args:
        experiment: Experiment with its runs.
        alike: Margin of equivalence in points; None for none.
    """
    metric = experiment.primary_metric
    sign = 1 if metric.lower else -1
    values = {
        method: {seed: sign * value for seed, value in group.last(f"test_{metric.key}").items()}
        for method, group in experiment.groups.items()
    }
    values = {method: found for method, found in values.items() if found}
    resolution = resolution_of(value for found in values.values() for value in found.values())
    return all_pairs(values, alike, resolution)


def pairs_markdown(experiments: Sequence[Experiment]) -> str:
    """Return a Markdown table per experiment with two methods or more, each with a line on its provenance."""
    parts = []
    for experiment in experiments:
        if rows := _rows(experiment):
            lines = [" | ".join(row) for row in (HEADER, ["---"] * 2 + ["---:"] * (len(HEADER) - 2), *rows)]
            parts += [
                f"**{experiment.name}**",
                "",
                *(f"| {line} |" for line in lines),
                "",
                provenance_line(experiment),
                "",
            ]
    return "\n".join(parts)


def pairs_latex(experiments: Sequence[Experiment]) -> str:
    """Return a LaTeX table (package booktabs) per experiment, its provenance in the caption."""
    parts = []
    for experiment in experiments:
        if rows := _rows(experiment):
            body = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
            parts += [
                r"\begin{table}",
                rf"\caption{{{_latex(experiment.name)}. {_latex(provenance_line(experiment))}}}",
                rf"\begin{{tabular}}{{ll{'r' * (len(HEADER) - 2)}}}",
                r"\toprule",
                " & ".join(map(_latex, HEADER)) + r" \\",
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
    return "\n".join(parts)


def provenance_line(experiment: Experiment) -> str:
    """Return a line with the metric, the test and the provenance of the numbers."""
    metric = experiment.primary_metric
    runs = [run for group in experiment.groups.values() for run in group.runs]
    seeds = sorted({run.seed for run in runs})
    facts = {
        key: ", ".join(dict.fromkeys(str(run.signature[key]) for run in runs if run.signature.get(key)))
        for key in ("labelemb", "git_commit", "torch", "device", "data_digest")
    }
    names = {"labelemb": "labelemb", "git_commit": "commit", "torch": "torch", "device": "on", "data_digest": "data"}
    made = ", ".join(f"{names[key]} {value}" for key, value in facts.items() if value)
    spread = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return (
        f"Test {metric.name} after the last epoch, points, {spread}; 95 % intervals (Student's t) over paired seeds, "
        f"p of the paired permutation test, Holm-corrected for all pairs. Made by {made}."
    )


def _rows(experiment: Experiment) -> list[list[str]]:
    return [_row(pair) for pair in pairs_of(experiment)] if len(experiment.groups) > 1 else []


def _row(pair: Pair) -> list[str]:
    difference, effect = pair.difference, pair.effect
    won = f"{pair.won} of {difference.n}" + (f", {pair.tied} tied" if pair.tied else "")
    return [
        method_title(pair.first),
        method_title(pair.second),
        str(difference.n),
        format_difference(difference),
        "too few seeds" if pair.p is None else format_p(pair.p),
        MISSING if effect is None else f"{effect.g:.2f} ({effect.low:.2f} to {effect.high:.2f})",
        won,
    ]


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(char, char) for char in text)
    return re.sub(r"(?<![\w-])-(?=\d)", r"\\textminus{}", escaped)
