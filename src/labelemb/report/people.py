"""Agreement of the learned label embeddings with people, for the report: per experiment and method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from labelemb.errors import DataError
from labelemb.metrics.human import read_similarity
from labelemb.report.agreement import AgreementReport, compare_runs
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.report.wording import plural

PERMUTATIONS = 999
ByMethod = Mapping[str, AgreementReport]


def agreement_by_method(
    experiments: Sequence[Experiment], human: Path, groups: Path | None
) -> dict[str, dict[str, AgreementReport]]:
    """Return experiment -> method -> agreement, for the methods that learn a label embedding.

    Args:
        experiments: Experiments with their runs.
        human: Similarities or votes of people; experiments with other labels are left out.
        groups: Group of each label.

    Raises:
        DataError: A file is missing or damaged, or no run has a label embedding of labels that people have judged.
    """
    people = read_similarity(human)
    found: dict[str, dict[str, AgreementReport]] = {}
    for experiment in experiments:
        for method, group in experiment.groups.items():
            compared = compare_runs([run.folder for run in group.runs], people, groups, PERMUTATIONS)
            if compared:
                found.setdefault(experiment.name, {})[method] = compared
    if not found:
        raise DataError("human", "runs with a label embedding of labels that the file has", "none")
    return found


def agreement_sentences(found: Mapping[str, ByMethod]) -> list[str]:
    """Return a sentence per experiment and method."""
    return [_sentence(name, method, report) for name, each in found.items() for method, report in each.items()]


def _sentence(experiment: str, method: str, report: AgreementReport) -> str:
    results = report.results
    third = 3 if 3 in results[0].top else 1
    parts = [
        f"Spearman {fmean(one.spearman for one in results):.3f} over all pairs of labels",
        f"{fmean(one.row_spearman for one in results):.3f} by row",
        f"Mantel test p <= {max(one.mantel_p for one in results):.3f}",
        f"the label nearest by people is among the {third} nearest for "
        f"{100 * fmean(one.top[third] for one in results):.0f} % of the labels",
    ]
    aucs = [one.auc for one in results if one.auc is not None]
    if aucs:
        parts.append(f"AUC of pairs in one group {fmean(aucs):.3f}")
    seeds = plural(len(results), "seed")
    return f"Agreement with {report.human_name}, {experiment}, {method_title(method)}, {seeds}: {'; '.join(parts)}."
