"""Warnings about runs that are unfinished or not comparable."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from labelemb.methods import METHODS
from labelemb.report.experiment import Experiment, Group
from labelemb.report.methods import method_title
from labelemb.report.run import Run, is_finite
from labelemb.report.wording import plural
from labelemb.terms.objective import Objective

# What may differ between methods: the loss, and where and how it is computed. Everything else must be equal.
_METHOD_KEYS = {
    *("method", "seed"),
    *(field.name for field in fields(Objective)),
    *(key for method in METHODS.values() for key in method.keys),
    *("impl", "device", "tracker", "note"),
}
_FITTED_KEYS = {"calibration_temperature"}  # found by training: different in each run


def comparability_warnings(experiment: Experiment, reference: str | None = None) -> list[str]:
    """Return a line for everything that makes the results of an experiment less comparable than they look.

    Args:
        experiment: Experiment with its runs.
        reference: Method to compare with. None: cross entropy if present, otherwise the first method.
    """
    runs = [run for group in experiment.groups.values() for run in group.runs]
    lines = [line for group in experiment.groups.values() for line in _config_differences(group)]
    lines += _signature_differences(experiment.name, runs)
    reference = reference or next(iter(experiment.groups))  # cross entropy comes first
    for method, group in experiment.groups.items():
        if method != reference and reference in experiment.groups:
            lines += _differences_from_reference(experiment.groups[reference], group)
    lines += [line for group in experiment.groups.values() for line in _not_finite(group)]
    for group in experiment.groups.values():
        missing = [run.seed for run in group.runs if run.test_error("last") is None]
        if missing:
            lines.append(f"{_title(group)}: no test error for {_seeds(missing)}; not in the table")
    return lines


def unfinished_runs(experiment: Experiment) -> list[str]:
    """Return a line per method with unfinished runs, which enter no statistic."""
    return [
        f"{_title(group)}: {', '.join(map(_progress, group.unfinished))}"
        for group in experiment.groups.values()
        if group.unfinished
    ]


def _progress(run: Run) -> str:
    return f"seed {run.seed} (epoch {run.epochs_done} of {run.config.get('epochs', '?')})"


def _config_differences(group: Group) -> list[str]:
    keys = dict.fromkeys(key for run in group.runs for key in run.config if key not in {"seed", *_FITTED_KEYS})
    lines = []
    for key in keys:
        values = _by_value(group.runs, lambda run, key=key: run.config.get(key, "absent"))  # type: ignore[misc]
        if len(values) > 1:
            lines.append(f"{_title(group)}: the runs differ in {key}: {_listed(values)}")
    return lines


def _signature_differences(experiment: str, runs: list[Run]) -> list[str]:
    lines = []
    for key, meaning in {
        "data_digest": "the runs were trained on different data",
        "labelemb": "the runs were made with different versions of labelemb",
        "torch": "the runs were made with different versions of torch",
    }.items():
        values = _by_value(runs, lambda run, key=key: run.signature.get(key))  # type: ignore[misc]
        if len(values) > 1:
            lines.append(f"{experiment}: {meaning}: {_listed(values)}")
    resumed = [run for run in runs if run.signature.get("resumed")]
    for method in dict.fromkeys(run.method for run in resumed):
        seeds = _seeds([run.seed for run in resumed if run.method == method])
        lines.append(
            f"{experiment}, {method_title(method)}: {seeds} resumed on another machine or version (signature.json)"
        )
    machines = _by_value(runs, lambda run: " / ".join(f"{run.signature.get(key)}" for key in ("machine", "device")))
    threads = _by_value(runs, lambda run: run.signature.get("threads"))
    if len(machines) > 1 or len(threads) > 1:
        lines.append(f"{experiment}: seconds per epoch come from different machines or numbers of threads")
    return lines


def _not_finite(group: Group) -> list[str]:
    lines_by_seed = {run.seed: run.history[-1] for run in group.runs}
    keys = dict.fromkeys(key for line in lines_by_seed.values() for key in line if key.startswith(("test_", "valid_")))
    warnings = []
    for key in keys:
        seeds = [s for s, line in lines_by_seed.items() if line.get(key) is not None and not is_finite(line, key)]
        if seeds:
            warnings.append(f"{_title(group)}: {key} of {_seeds(seeds)} is not finite after the last epoch; left out")
    return warnings


def _differences_from_reference(reference: Group, group: Group) -> list[str]:
    if not (reference.runs and group.runs):
        return []
    config, expected = group.runs[0].config, reference.runs[0].config
    title = method_title(reference.method)
    lines = [
        f"{_title(group)}: {key} is {config[key]}, but {expected[key]} for {title}"
        for key in config.keys() & expected.keys() - _METHOD_KEYS - _FITTED_KEYS
        if config[key] != expected[key]
    ]
    seeds, others = {run.seed for run in group.runs}, {run.seed for run in reference.runs}
    if seeds != others:
        lines.append(
            f"{_title(group)}: {plural(len(seeds), 'seed')} against {len(others)} of {title}; "
            f"the interval uses the {len(seeds & others)} that both have"
        )
    return sorted(lines)


def _by_value(runs: Iterable[Run], read: Callable[[Run], Any]) -> dict[str, list[Run]]:
    values: dict[str, list[Run]] = {}
    for run in runs:
        values.setdefault(str(read(run)), []).append(run)
    return values


def _listed(values: dict[str, list[Run]]) -> str:
    def owners(runs: list[Run]) -> str:
        methods = dict.fromkeys(run.method for run in runs)
        return " and ".join(f"{method_title(m)} {_seeds([r.seed for r in runs if r.method == m])}" for m in methods)

    return "; ".join(f"{value} ({owners(runs)})" for value, runs in values.items())


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _title(group: Group) -> str:
    return f"{group.experiment}, {method_title(group.method)}"
