"""What a reader must be told before trusting a figure: runs that are not finished, or not comparable."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from labelemb.methods import METHODS
from labelemb.report.aggregate import Group, Run, Task, finite, method_name
from labelemb.report.findings import plural
from labelemb.terms.objective import Objective

# What may differ between methods: the loss, and where and how it runs. All else should be equal in a fair comparison.
_OWN_TO_A_METHOD = {
    *("method", "seed"),
    *(field.name for field in fields(Objective)),
    *(key for method in METHODS.values() for key in method.keys),
    *("impl", "device", "tracker", "note"),
}


def warnings_of(task: Task, reference: str | None = None) -> list[str]:
    """Return one line for everything that makes the task's figures less comparable than they look.

    reference  method that the others are compared with; None: one-hot where it is there, else the first
    """
    counted = [run for group in task.groups.values() for run in group.runs]
    lines = [line for group in task.groups.values() for line in _config_differences(group)]
    lines += _signature_differences(task.name, counted)
    reference = reference or next(iter(task.groups))  # one-hot comes first
    for method, group in task.groups.items():
        if method != reference and reference in task.groups:
            lines += _unfair(task.groups[reference], group)
    lines += [line for group in task.groups.values() for line in _not_finite(group)]
    for group in task.groups.values():
        blind = [run.seed for run in group.runs if run.figure("last") is None]
        if blind:
            lines.append(f"{_name(group)}: no test error in {_seeds(blind)}; not in the table")
    return lines


def unfinished_of(task: Task) -> list[str]:
    """Return one line per method with unfinished runs: they enter no figure."""
    lines = []
    for group in task.groups.values():
        if group.unfinished:
            lines.append(f"{_name(group)}: {', '.join(map(_state, group.unfinished))}")
    return lines


def _state(run: Run) -> str:
    return f"seed {run.seed} (epoch {run.epochs_done} of {run.config.get('epochs', '?')})"


def _config_differences(group: Group) -> list[str]:
    keys = dict.fromkeys(key for run in group.runs for key in run.config if key != "seed")
    lines = []
    for key in keys:
        values = _values(group.runs, lambda run, key=key: run.config.get(key, "absent"))  # type: ignore[misc]
        if len(values) > 1:
            lines.append(f"{_name(group)}: the runs differ in {key}: {_listed(values)}")
    return lines


def _signature_differences(task: str, runs: list[Run]) -> list[str]:
    lines = []
    for key, meaning in {
        "data_digest": "the runs did not see the same data",
        "labelemb": "the runs were made by different versions of labelemb",
        "torch": "the runs were made by different versions of torch",
    }.items():
        values = _values(runs, lambda run, key=key: run.signature.get(key))  # type: ignore[misc]
        if len(values) > 1:
            lines.append(f"{task}: {meaning}: {_listed(values)}")
    moved = [run for run in runs if run.signature.get("resumed")]
    for method in dict.fromkeys(run.method for run in moved):
        seeds = _seeds([run.seed for run in moved if run.method == method])
        lines.append(
            f"{task}, {method_name(method)}: {seeds} went on elsewhere or under another version (signature.json)"
        )
    places = _values(runs, lambda run: " / ".join(f"{run.signature.get(key)}" for key in ("machine", "device")))
    threads = _values(runs, lambda run: run.signature.get("threads"))
    if len(places) > 1 or len(threads) > 1:
        lines.append(f"{task}: seconds per epoch come from different machines or numbers of threads")
    return lines


def _not_finite(group: Group) -> list[str]:
    lasts = {run.seed: run.history[-1] for run in group.runs}
    keys = dict.fromkeys(key for line in lasts.values() for key in line if key.startswith(("test_", "valid_")))
    lines = []
    for key in keys:
        seeds = [seed for seed, line in lasts.items() if line.get(key) is not None and not finite(line, key)]
        if seeds:
            lines.append(f"{_name(group)}: {key} of {_seeds(seeds)} is not finite after the last epoch; it is left out")
    return lines


def _unfair(reference: Group, group: Group) -> list[str]:
    lines = []
    if reference.runs and group.runs:
        here, there = group.runs[0].config, reference.runs[0].config
        for key in here.keys() & there.keys() - _OWN_TO_A_METHOD:
            if here[key] != there[key]:
                lines.append(
                    f"{_name(group)}: {key} is {here[key]}, but {there[key]} for {method_name(reference.method)}"
                )
        mine, theirs = {run.seed for run in group.runs}, {run.seed for run in reference.runs}
        if mine != theirs:
            lines.append(
                f"{_name(group)}: {plural(len(mine), 'seed')} against {len(theirs)} of {method_name(reference.method)}; "
                f"the interval uses the {len(mine & theirs)} that both have"
            )
    return sorted(lines)


def _values(runs: Iterable[Run], read: Callable[[Run], Any]) -> dict[str, list[Run]]:
    values: dict[str, list[Run]] = {}
    for run in runs:
        values.setdefault(str(read(run)), []).append(run)
    return values


def _listed(values: dict[str, list[Run]]) -> str:
    def owners(runs: list[Run]) -> str:
        methods = dict.fromkeys(run.method for run in runs)
        return " and ".join(
            f"{method_name(method)} {_seeds([r.seed for r in runs if r.method == method])}" for method in methods
        )

    return "; ".join(f"{value} ({owners(runs)})" for value, runs in values.items())


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _name(group: Group) -> str:
    return f"{group.task}, {method_name(group.method)}"
