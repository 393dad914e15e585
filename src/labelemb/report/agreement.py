"""Agreement of learned label embeddings with human similarity, as ``labelemb agree`` reports it. V labels."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.metrics.agreement import PERMUTATIONS, Agreement, agreement
from labelemb.metrics.human import Matrix, NamedSimilarity, read_groups, read_similarity
from labelemb.report.charts.agreement import heatmaps_chart, scatter_chart
from labelemb.report.charts.style import save_chart, svg_text
from labelemb.report.similarity import names_of
from labelemb.runs import RunFolder, embedding_file, find_runs
from labelemb.stats.paired import paired_difference
from labelemb.terms.embedding import LabelEmbedding

MAX_LABELS = 2048  # (V, V) matrices, permuted thousands of times


@dataclass(frozen=True)
class AgreementReport:
    """Agreement of one or several similarities with that of people.

    Attributes:
        names: V label names.
        similarity: (V, V), mean over the sources.
        human: (V, V).
        groups: V group names; None without.
        sources: Name of each source, say a run folder.
        results: Agreement of each source.
        human_name: Name of the file with human similarities.
    """

    names: list[str]
    similarity: Matrix
    human: Matrix
    groups: list[str] | None
    sources: list[str]
    results: list[Agreement]
    human_name: str


def compare_with_people(
    source: Path, human: Path, groups: Path | None = None, permutations: int = PERMUTATIONS
) -> AgreementReport:
    """Compare the label embedding of a run, of all runs below a folder, or a similarity in a file with that of people.

    Args:
        source: A run folder, a folder with runs below it, a safetensors file, or a similarity as .csv or .npz.
        human: Similarities or votes of people, .csv or .npz.
        groups: Group of each label, .csv or .npz.
        permutations: Number of permutations of the Mantel test.

    Raises:
        DataError: For missing or damaged files, and labels that the file of people lacks.
    """
    found = _similarities(source)
    other = next((one for one in found if set(one.names) != set(found[0].names)), None)
    if other:
        raise DataError(str(source), "runs with the same labels", f"other labels in {other.source}")
    return compare_similarities(found, read_similarity(human), groups, permutations)


def compare_runs(
    runs: Sequence[RunFolder], people: NamedSimilarity, groups: Path | None, permutations: int
) -> AgreementReport | None:
    """Compare the label embeddings of some runs with the similarity of people.

    Args:
        runs: Runs with the same labels.
        people: Similarities or votes of people.
        groups: Group of each label.
        permutations: Number of permutations of the Mantel test.

    Returns:
        None where no run has learned a label embedding of labels that people have judged.

    Raises:
        DataError: For damaged files, or labels without a group.
    """
    found = [_load(str(run.path), run.labels_file) for run in runs if run.labels_file.is_file()]
    if not found or not set(found[0].names) <= set(people.names):
        return None
    return compare_similarities(found, people, groups, permutations)


def compare_similarities(
    found: Sequence[NamedSimilarity], people: NamedSimilarity, groups: Path | None, permutations: int
) -> AgreementReport:
    """Compare similarities of the same labels with that of people; see ``compare_with_people``."""
    names = found[0].names
    votes = people.select(names)
    grouping = None if groups is None else read_groups(groups, names)
    matrices = [one.select(names) for one in found]
    results = [agreement(matrix, votes, grouping, permutations) for matrix in matrices]
    mean: Matrix = np.mean(matrices, axis=0)
    return AgreementReport(
        names, mean, votes, grouping, [one.source for one in found], results, Path(people.source).name
    )


def agreement_lines(report: AgreementReport) -> list[str]:
    """Return the lines of the table, three decimals; of several sources a column each, and their mean."""
    rows = [_values(result) for result in report.results]
    width = max(map(len, rows[0]))
    if len(rows) == 1:
        return [f"{key:{width}}  {value:6.3f}" for key, value in rows[0].items()]
    heads = [*(Path(source).name for source in report.sources), "mean"]
    cells = max(8, *(len(head) + 2 for head in heads))
    lines = [" " * width + "".join(f"{head:>{cells}}" for head in heads)]
    for key in rows[0]:
        values = [row[key] for row in rows]
        mean = "" if key.startswith("Mantel") else f"{fmean(values):.3f}"  # a mean of p-values means nothing
        lines.append(f"{key:{width}}" + "".join(f"{value:>{cells}.3f}" for value in values) + f"{mean:>{cells}}")
    found = paired_difference(
        dict(enumerate(one.spearman for one in report.results)), dict.fromkeys(range(len(rows)), 0.0)
    )
    if found and found.low is not None and found.high is not None:
        lines.append(f"Spearman, mean of {len(rows)} runs: 95 % interval {found.low:.3f} to {found.high:.3f}")
    return lines


def write_agreement(report: AgreementReport, out: Path, title: str) -> list[Path]:
    """Write agreement.json, which holds no votes, a scatter plot and two heat maps, which show them.

    Args:
        report: What was compared.
        out: Folder to write to.
        title: Title of the charts.

    Returns:
        The paths.
    """
    pairs = zip(report.sources, report.results, strict=True)
    content = {
        "human": report.human_name,
        "num_labels": len(report.names),
        "results": [{"source": source, **asdict(result)} for source, result in pairs],
    }
    write_text(out / "agreement.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    drawn = (report.names, report.similarity, report.human, report.groups)
    charts = [scatter_chart("agreement-scatter", *drawn, title), heatmaps_chart("agreement-heatmaps", *drawn, title)]
    pictures = [path for chart in charts for path in save_chart(chart, svg_text(chart.figure), out)]
    return [out / "agreement.json", *pictures]


def _similarities(source: Path) -> list[NamedSimilarity]:
    if source.suffix.lower() in (".csv", ".npz"):
        return [read_similarity(source, "source")]
    if not source.is_dir() or (source / "config.yaml").is_file():
        return [_load(str(source), embedding_file(source))]
    runs = [run for run in find_runs([source]) if run.labels_file.is_file()]
    if not runs:
        raise DataError(str(source), "runs that learned a label embedding", "none")
    return [_load(str(run.path), run.labels_file) for run in runs]


def _load(name: str, file: Path) -> NamedSimilarity:
    embedding = LabelEmbedding.load(file)
    if embedding.num_labels > MAX_LABELS:
        raise DataError(name, f"at most {MAX_LABELS} labels", embedding.num_labels)
    with torch.no_grad():
        soft = torch.softmax(embedding.rows(torch.arange(embedding.num_labels)).double(), dim=-1)
    return NamedSimilarity(name, names_of(embedding), soft.numpy())


def _values(result: Agreement) -> dict[str, float]:
    size = result.num_labels
    values = {
        f"Spearman, all {size * (size - 1)} directed pairs": result.spearman,
        f"Spearman by row, mean of {result.rows}": result.row_spearman,
        f"Mantel test, p ({result.permutations} permutations)": result.mantel_p,
    }
    for k, share in result.top.items():
        values[f"nearest by people among the {k} nearest" if k > 1 else "nearest by people is the nearest"] = share
    if result.auc is not None and result.nearest_in_group is not None:
        values["AUC, pairs of one group against others"] = result.auc
        values["nearest label in the same group"] = result.nearest_in_group
    return values
