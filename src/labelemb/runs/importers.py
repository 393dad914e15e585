"""Read the logs of other programs: one line of metrics per evaluation.

Supported: ``trainer_state.json`` of transformers' Trainer, ``metrics.csv`` of Lightning's CSVLogger, TensorBoard event
files, and any CSV file with a column "epoch" or "step".
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labelemb.documents import parse_json, read_bounded
from labelemb.errors import ConfigError, DataError

Metrics = dict[str, float]
FORMATS = "trainer_state.json, a .csv file, or a directory with one of them or with TensorBoard event files"
SPLITS = {
    "eval": "valid",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "train": "train",
}
ACCURACY = re.compile(r"(acc|accuracy|accuracy_top1|top1|acc1)$")
TIMINGS = ("runtime", "per_second", "_time")  # how the names of a Trainer's timings of an evaluation end
EVENTS = "events.out.tfevents.*"


def read_log(path: Path | str) -> list[Metrics]:
    """Return the evaluations of a log, oldest first, under this library's names.

    Each line has "epoch" and "step". A name such as ``eval_accuracy`` or ``val/acc`` becomes ``valid_error`` in
    percent, ``val_loss`` becomes ``valid_nll``; other numbers keep their name.

    Raises:
        DataError: For a file that is missing, of another format, or without evaluations.
    """
    path = Path(path)
    file = _find(path)
    rows = _read_events(file) if file.is_dir() else _read_json(file) if file.suffix == ".json" else _read_csv(file)
    lines = evaluations(rows)
    if not lines:
        expected = "evaluations: an epoch with a validation or test metric"
        raise DataError(str(path), expected, "none", "Log one with a name such as eval_accuracy or val_loss")
    return lines


def evaluations(rows: Iterable[Mapping[str, Any]]) -> list[Metrics]:
    """Return the evaluations among the rows of a log, oldest first, under this library's names; none without any.

    Args:
        rows: Entries such as those of ``log_history`` of transformers' Trainer.
    """
    return _by_epoch(_renamed(rows))


def metric_name(name: str) -> str:
    """Return this library's name of a metric.

    Example:
        >>> [metric_name(name) for name in ("eval_accuracy", "val/acc", "val_loss", "test_f1", "lr")]
        ['valid_error', 'valid_error', 'valid_nll', 'test_f1', 'lr']
    """
    words = re.split(r"[/_. ]", name.lower())
    if words[0] not in SPLITS or len(words) < 2:
        return name
    rest = "_".join(words[1:])
    kind = "error" if ACCURACY.fullmatch(rest) else "nll" if rest == "loss" else rest
    return f"{SPLITS[words[0]]}_{kind}"


def _find(path: Path) -> Path:
    if path.is_dir():
        for pattern in ("trainer_state.json", "checkpoint-*/trainer_state.json", "metrics.csv"):
            if found := sorted(path.glob(pattern), key=lambda file: file.stat().st_mtime):
                return found[-1]
        if any(path.glob(EVENTS)):
            return path
        raise DataError(str(path), FORMATS, "none of them")
    if not path.is_file():
        raise DataError(str(path), FORMATS, "no such file")
    if path.match(EVENTS):
        return path.parent
    if path.suffix not in (".json", ".csv"):
        raise DataError(str(path), FORMATS, path.name)
    return path


def _read_json(file: Path) -> list[Mapping[str, Any]]:
    content = parse_json(read_bounded(file, FORMATS), str(file), "the state of a Trainer")
    rows = content.get("log_history") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(str(file), "the state of a Trainer, with log_history", type(rows).__name__)
    return rows


def _read_csv(file: Path) -> list[Mapping[str, Any]]:
    try:
        reader = csv.DictReader(read_bounded(file, FORMATS).removeprefix("\ufeff").splitlines())
        names = list(reader.fieldnames or [])
        rows = list(reader)
    except csv.Error as error:
        raise DataError(str(file), "a CSV file with a header", error) from error
    if not {"epoch", "step"} & set(names):
        raise DataError(str(file), "a column 'epoch' or 'step'", ", ".join(names) or "no header")
    if twice := [name for name in names if names.count(name) > 1]:  # DictReader keeps the last of them
        raise DataError(str(file), "different column names", f"{twice[0]!r} twice")
    if any(None in row for row in rows):
        raise DataError(str(file), f"{len(names)} columns in each row", "a row with more")
    zero_based = file.name == "metrics.csv"  # Lightning counts epochs from 0
    return [_from_one(row) for row in rows] if zero_based else list(rows)


def _from_one(row: Mapping[str, Any]) -> Mapping[str, Any]:
    epoch = _number(row.get("epoch"))
    return {**row, "epoch": epoch + 1} if epoch is not None else row


def _read_events(folder: Path) -> list[Mapping[str, Any]]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        hint = "pip install tensorboard"
        raise ConfigError("log", "tensorboard, which reads event files", "none", hint) from error
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    rows: dict[int, dict[str, Any]] = {}
    for tag in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(tag):
            rows.setdefault(event.step, {"step": event.step})[tag] = event.value
    return [rows[step] for step in sorted(rows)]


def _renamed(rows: Iterable[Mapping[str, Any]]) -> list[Metrics]:
    """Keep the numbers but timings under this library's names; accuracies become errors in percent."""
    numbers = [
        {key: n for key, value in row.items() if (n := _number(value)) is not None and not key.endswith(TIMINGS)}
        for row in rows
    ]
    accuracies = {
        key
        for row in numbers
        for key in row
        if metric_name(key) != key and metric_name(key).endswith("_error") and not key.lower().endswith("error")
    }
    whole = {key: 1.0 if max(row[key] for row in numbers if key in row) <= 1 else 100.0 for key in accuracies}
    return [
        {metric_name(key): 100 * (1 - n / whole[key]) if key in whole else n for key, n in row.items()}
        for row in numbers
    ]


def _by_epoch(rows: Iterable[Metrics]) -> list[Metrics]:
    """Merge the rows of an epoch (of a step, without epochs); keep those with a validation or test metric."""
    merged: dict[int, Metrics] = {}
    for row in rows:
        position = row.get("epoch", row.get("step"))
        if position is not None:
            epoch = max(1, math.ceil(position - 1e-9))
            merged[epoch] = merged.get(epoch, {}) | row | {"epoch": epoch}
    lines, step = [], 0
    for _, row in sorted(merged.items()):
        if any(key.startswith(("valid_", "test_")) for key in row):
            step = max(step + 1, int(row.get("step", row["epoch"])))
            lines.append({**row, "epoch": int(row["epoch"]), "step": step})
    return lines


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value in (None, ""):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
