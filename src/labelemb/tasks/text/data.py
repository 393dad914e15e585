"""A text data set: three splits, the label names, and what is worth knowing about them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from labelemb.errors import ConfigError, DataError
from labelemb.tasks.classification.splits import limit_per_label, stratified_holdout
from labelemb.tasks.text.files import KINDS, Columns, Row, kind_of, read_file, read_hub

NAMES = "csv:PATH, tsv:PATH, jsonl:PATH, parquet:PATH or hub:ID"
FEWEST = 10


@dataclass(frozen=True)
class DataOptions:
    """Options of a text data set.

    Args:
        dataset: ``csv:PATH``, ``tsv:PATH``, ``jsonl:PATH``, ``parquet:PATH`` or ``hub:ID``.
        valid_file: Validation file; None: split off (unless ``validate`` is False).
        test_file: Test file; None: the hub's, else split off.
        text_column: Column with the text.
        label_column: Column with the label.
        validate: Whether to hold out a stratified tenth of the training texts where there is no validation split;
            None: yes.
        per_label: Maximum number of training texts per label, chosen after the held-out splits; None: all.
    """

    dataset: str
    valid_file: str | None = None
    test_file: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    validate: bool | None = None
    per_label: int | None = None


@dataclass(frozen=True)
class Texts:
    """A split: N texts and their labels, int64 ``(N,)``."""

    lines: tuple[str, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.lines)

    def select(self, rows: Tensor) -> "Texts":
        """Return some rows."""
        return Texts(tuple(self.lines[row] for row in rows.tolist()), self.labels[rows])


@dataclass(frozen=True)
class TextData:
    """A data set; ``valid`` is None when nothing is held out for validation, ``note`` qualifies reported numbers."""

    train: Texts
    valid: Texts | None
    test: Texts
    label_names: tuple[str, ...]
    note: str = ""

    @property
    def splits(self) -> dict[str, Texts]:
        """Return the splits by name."""
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: texts for name, texts in splits.items() if texts is not None}

    @cached_property
    def digest(self) -> str:
        """Return 16 hexadecimal digits of a SHA-256 over the texts and labels of all splits."""
        sha = hashlib.sha256()
        for name, texts in self.splits.items():
            for line, label in zip(texts.lines, texts.labels.tolist(), strict=True):
                sha.update(f"{name}\0{line}\0{self.label_names[label]}\0".encode())
        return sha.hexdigest()[:16]

    @cached_property
    def duplicates(self) -> dict[str, int]:
        """Return how many texts of each held-out split also occur, up to case and spacing, in the training split."""
        known = set(map(_normalised, self.train.lines))
        held_out = {name: texts for name, texts in self.splits.items() if name != "train"}
        return {name: sum(_normalised(line) in known for line in texts.lines) for name, texts in held_out.items()}


def is_known(dataset: str) -> bool:
    """Return whether the name has a known form."""
    kind, _, rest = dataset.partition(":")
    return kind in (*KINDS, "hub") and bool(rest)


def load(options: DataOptions, folder: Path | None = None) -> TextData:
    """Read and split a data set.

    Args:
        options: Which files, columns and splits.
        folder: Folder that relative paths may be relative to, if they are not to the current one.

    Raises:
        ConfigError: If the name of the data set has another form.
        DataError: If a file is missing or damaged, or the texts cannot be used.
    """
    rows = _read(options, folder)
    names = _label_names(rows, options.dataset)
    index = {name: number for number, name in enumerate(names)}
    splits = {name: _texts(found, index) for name, found in rows.items()}
    if len(splits["train"]) < FEWEST:
        raise DataError(options.dataset, f"{FEWEST} training texts or more", len(splits["train"]))
    if "test" not in splits:
        splits |= _hold_out(splits["train"], "test", len(splits["train"]) // 5)
    if "valid" not in splits and options.validate is not False:
        splits |= _hold_out(splits["train"], "valid", max(1, len(splits["train"]) // 10))
    data = TextData(splits["train"], splits.get("valid"), splits["test"], names)
    if options.per_label is not None:
        kept = limit_per_label(data.train.labels, len(names), options.per_label)
        data = replace(data, train=data.train.select(kept), note=f"{options.per_label} training texts per label")
    if repeated := data.duplicates["test"]:
        note = f"{repeated} of the {len(data.test)} test texts are also training texts"
        data = replace(data, note=f"{data.note}, {note}" if data.note else note)
    return data


def read_labeled(options: DataOptions, folder: Path | None = None) -> list[Row]:
    """Read the texts and labels of one file, or of the test split of a hub data set; raises as ``load`` does."""
    check_form(options.dataset)
    kind, _, source = options.dataset.partition(":")
    columns = Columns(options.text_column, options.label_column)
    if kind == "hub":
        splits = read_hub(source, columns)
        return splits.get("test", splits["train"])
    return read_file(_find(source, folder), kind, columns)


def _read(options: DataOptions, folder: Path | None) -> dict[str, list[Row]]:
    check_form(options.dataset)
    kind, _, source = options.dataset.partition(":")
    columns = Columns(options.text_column, options.label_column)
    rows = read_hub(source, columns) if kind == "hub" else {"train": read_file(_find(source, folder), kind, columns)}
    for split, file in (("valid", options.valid_file), ("test", options.test_file)):
        if file is not None:
            path = _find(file, folder)
            rows[split] = read_file(path, kind_of(path, kind), columns)
    return rows


def _find(name: str, folder: Path | None) -> Path:
    path = Path(name).expanduser()
    return folder / path if folder is not None and not path.is_absolute() and not path.is_file() else path


def _label_names(rows: dict[str, list[Row]], source: str) -> tuple[str, ...]:
    counts = Counter(label for _, label in rows["train"])
    if len(counts) < 2:
        raise DataError(source, "two labels or more", f"{len(counts)} ({', '.join(counts)})")
    for split, found in rows.items():
        if unknown := sorted({label for _, label in found} - counts.keys()):
            shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            raise DataError(f"{split} split", "labels that occur in the training texts", f"also {shown}")
    return tuple(sorted(counts))


def _texts(rows: Sequence[Row], index: dict[str, int]) -> Texts:
    return Texts(tuple(text for text, _ in rows), torch.tensor([index[label] for _, label in rows]))


def _hold_out(train: Texts, split: str, count: int) -> dict[str, Texts]:
    kept, held = stratified_holdout(train.labels, count, seed=0)
    return {"train": train.select(kept), split: train.select(held)}


def _normalised(line: str) -> str:
    return " ".join(line.lower().split())


def check_form(dataset: str) -> None:
    """Raise ConfigError if the name of a data set has another form; suggest ``csv:`` for the path of a CSV file."""
    if not is_known(dataset):
        kind = kind_of(Path(dataset), "")
        raise ConfigError(
            "dataset", NAMES, repr(dataset) if dataset else "none", f"Write {kind}:{dataset}" if kind else ""
        )
