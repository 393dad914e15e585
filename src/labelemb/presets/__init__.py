"""Presets: commented YAML files with the options of published experiments."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from labelemb.documents import parse_yaml, read_bounded
from labelemb.errors import ConfigError, nearest


@dataclass(frozen=True)
class Preset:
    """A named set of options.

    Args:
        name: Name on the command line and of the run folders.
        task: The task that trains it: vision, text or seq2seq.
        text: The YAML file as it is, comments included.
        values: Its keys, without ``task`` and ``threads``.
        threads: Threads per run unless ``--threads`` says otherwise; None: no preference.
    """

    name: str
    task: str
    text: str
    values: dict[str, Any]
    threads: int | None = None

    @property
    def summary(self) -> str:
        """Return the first comment line."""
        return self.text.splitlines()[0].lstrip("# ")


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package, sorted."""
    folder = resources.files(__package__)
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_preset(name: str) -> Preset:
    """Read a preset of the package by name, or a YAML file of the user's own by path.

    Raises:
        ConfigError: The name is unknown, or the file is not a mapping with a task, or its ``threads`` no whole number.
        DataError: The file cannot be read.
    """
    own = name.endswith((".yaml", ".yml"))
    if not own and name not in preset_names():
        known = preset_names()
        path, hint = Path(name).expanduser(), nearest(name, known)
        if path.suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
            hint = f"Your own texts: labelemb train text --dataset {path.suffix[1:]}:{name}"
        elif path.is_dir():
            hint = f"Your own images: labelemb train images --dataset imagefolder:{name}"
        raise ConfigError("preset", f"one of {', '.join(known)}, or a YAML file", repr(name), hint)
    expected = "a readable YAML file"
    file = Path(name) if own else resources.files(__package__) / f"{name}.yaml"
    text = read_bounded(file, expected) if isinstance(file, Path) else file.read_text(encoding="utf-8")
    values = parse_yaml(text, str(file), expected)
    if not isinstance(values, dict) or not isinstance(values.get("task"), str):
        expected = f"a mapping in {file} with 'task: vision', 'task: text' or 'task: seq2seq'"
        got = f"task {values.get('task')!r}" if isinstance(values, dict) else type(values).__name__
        raise ConfigError("preset", expected, got)
    task, threads = values.pop("task"), values.pop("threads", None)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConfigError("threads", f"a whole number >= 1 in {file}", repr(threads))
    return Preset(Path(name).stem if own else name, task, text, values, threads)
