"""The record that ``--seeds auto`` leaves beside the runs, and what a report says of it."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from typing_extensions import TypedDict

from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_title
from labelemb.runs.records import read_json, write_json
from labelemb.stats.equivalence import Conclusion
from labelemb.stats.sentences import number
from labelemb.stats.sequential import Look, Plan

FILE = "seeds-auto.json"


class LookRecord(TypedDict):
    """The fields of a ``Look``; null for an end that is infinite."""

    n: int
    mean: float
    low: float | None
    high: float | None
    conclusion: Conclusion


class SequentialRecord(TypedDict):
    """When seeds were added, and what was decided: method -> its last look."""

    reference: str
    within: float
    looks: list[int]
    decisions: dict[str, LookRecord]


def write_record(folder: Path, reference: str, schedule: Plan, decisions: Mapping[str, Look]) -> None:
    """Write the record into OUT/NAME, the folder of an experiment.

    Args:
        folder: The folder.
        reference: Method that the others were compared with.
        schedule: When the rule was to look.
        decisions: Method -> its last look.
    """
    found = {method: asdict(look) for method, look in decisions.items()}
    for fields in found.values():
        fields |= {end: fields[end] if math.isfinite(fields[end]) else None for end in ("low", "high")}
    content = {"reference": reference, "within": schedule.margin, "looks": list(schedule.looks), "decisions": found}
    write_json(folder / FILE, content, indent=2)


def sequential_notes(experiment: Experiment) -> list[str]:
    """Return what a report must say where the number of seeds depended on the results: nothing without a record.

    Raises:
        DataError: For a damaged record.
    """
    folders = dict.fromkeys(run.folder.path.resolve().parent.parent for run in experiment.all_runs)
    return [_note(experiment, folder / FILE) for folder in folders if (folder / FILE).is_file()]


def _note(experiment: Experiment, file: Path) -> str:
    record: SequentialRecord = read_json(file, SequentialRecord)
    within = record["within"]
    said = [
        f"{method_title(method)} {look_sentence(_look(fields), within)}, {fields['n']} seeds"
        for method, fields in record["decisions"].items()
        if method in experiment.groups
    ]
    return (
        f"{experiment.name}: seeds were added until a decision (--seeds auto --within {number(within)}), which makes "
        "the p-values and intervals of the tables too optimistic. What holds over all looks, against "
        f"{method_title(record['reference'])}: {'; '.join(said)}"
    )


def _look(fields: LookRecord) -> Look:
    low, high = fields["low"], fields["high"]
    return Look(
        fields["n"],
        fields["mean"],
        -math.inf if low is None else low,
        math.inf if high is None else high,
        fields["conclusion"],
    )


def look_sentence(look: Look, within: float) -> str:
    """Say what a look concludes, with the interval that holds over all looks.

    Example:
        >>> look_sentence(Look(8, 1.9, 0.9, 2.9, "better"), 0.2)
        'better by 1.9 points (0.9 to 2.9 over all looks)'
    """
    sign = -1 if look.conclusion.startswith("worse") else 1
    low, high = sorted((sign * look.low, sign * look.high))
    interval = f"({number(low)} to {number(high)} over all looks)"
    if look.conclusion == "undecided":
        return f"not decided: {number(look.mean)} points {interval}"
    if look.conclusion == "alike":
        return f"alike within {number(within)} points: {number(look.mean)} {interval}"
    alike = f", but alike within {number(within)} points" if look.conclusion.endswith("alike") else ""
    return f"{look.conclusion.split()[0]} by {number(abs(look.mean))} points {interval}{alike}"
