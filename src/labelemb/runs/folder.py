"""A run folder: what one training run leaves on disk, read and written here alone.

OUT/PRESET/MODE/seed-N/
    config.yaml           every choice, resolved
    signature.json        versions, git commit, machine, threads, seed, digest of the data
    history.jsonl         one line per evaluation
    errors-by-label.json  images: the error of each label, as of the last evaluation
    labels.safetensors    the label embedding, where the method learns one
    data.json             what the model must know about its input: label names, sizes, normalisation
    last.pt  best.pt      checkpoints: to go on from, and the best on the validation data
    best-SCORE.pt         language: the best on the validation text by a score
    scores.json           language: the last scores with their signatures
    SPLIT.output.txt      language: the last output for "valid" and "test"; best-SCORE.output.txt, "valid" by the best
    finished.json         written last: the run is complete
    error.txt             traceback of a failure that nobody foresaw
"""

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labelemb.errors import ConfigError, DataError
from labelemb.files import write_text

Line = dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """One run on disk. The properties name its files; ``path`` is the folder."""

    path: Path

    @classmethod
    def of(cls, out: Path | str, preset: str, method: str, seed: int) -> "RunFolder":
        """Return the place of a run: OUT/PRESET/MODE/seed-N."""
        return cls(Path(out) / preset / method / f"seed-{seed}")

    @property
    def config_file(self) -> Path:
        """Return where every choice stands, resolved."""
        return self.path / "config.yaml"

    @property
    def signature_file(self) -> Path:
        """Return where the run says what made it."""
        return self.path / "signature.json"

    @property
    def history_file(self) -> Path:
        """Return where the lines of the evaluations are."""
        return self.path / "history.jsonl"

    @property
    def labels_file(self) -> Path:
        """Return where the label embedding is, if the method learns one."""
        return self.path / "labels.safetensors"

    @property
    def data_file(self) -> Path:
        """Return where stands what the trained model must know about its input."""
        return self.path / "data.json"

    @property
    def errors_by_label_file(self) -> Path:
        """Return where the error of each label stands, after the last evaluation."""
        return self.path / "errors-by-label.json"

    @property
    def last_checkpoint(self) -> Path:
        """Return the checkpoint to go on from."""
        return self.path / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """Return the checkpoint that was best on the validation data."""
        return self.path / "best.pt"

    def best_by(self, name: str) -> Path:
        """Return the checkpoint that was best by another figure: "bleu" -> best-bleu.pt, "" -> best.pt."""
        return self.path / f"best-{name}.pt" if name else self.best_checkpoint

    @property
    def scores_file(self) -> Path:
        """Return where the scores of a language run stand with their signatures, as of the last evaluation."""
        return self.path / "scores.json"

    def output_file(self, split: str) -> Path:
        """Return where the output for "valid" or "test" is, a line each, as of the last evaluation."""
        return self.path / f"{split}.output.txt"

    def best_output_file(self, name: str) -> Path:
        """Return where the output of ``best_by(name)`` for "valid" is: "bleu" -> best-bleu.output.txt."""
        return self.path / f"best-{name}.output.txt" if name else self.path / "best.output.txt"

    @property
    def finished_file(self) -> Path:
        """Return the file that is written last."""
        return self.path / "finished.json"

    @property
    def error_file(self) -> Path:
        """Return where the traceback of a failure is, if a matrix met one."""
        return self.path / "error.txt"

    @property
    def finished(self) -> bool:
        """Say whether the run is complete."""
        return self.finished_file.is_file()

    def config(self) -> dict[str, Any]:
        """Read the resolved config. Raises DataError when the folder holds no run."""
        return _mapping(self.config_file, yaml.safe_load)

    def signature(self) -> dict[str, Any]:
        """Read the signature. Raises DataError when the folder holds no run."""
        return _mapping(self.signature_file, json.loads)

    def history(self) -> list[Line]:
        """Read the lines, oldest first; none when no evaluation is complete. Raises DataError for a damaged line."""
        if not self.history_file.is_file():
            return []
        try:
            lines = [json.loads(line) for line in self.history_file.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:  # no JSON, or no UTF-8
            raise DataError(str(self.history_file), "one JSON object per line", error) from error
        for line in lines:
            if not isinstance(line, dict) or not isinstance(line.get("epoch"), int | float):
                raise DataError(str(self.history_file), "one JSON object with an epoch per line", repr(line))
        return lines

    def check(
        self, config: Mapping[str, Any], digests: Mapping[str, str], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Raise ConfigError when the folder holds a run with another config, or of other data or files.

        digests   what the signature says of data and files that the run starts from: KEY_digest -> digest
        defaults  what a key meant before there was one: a run of an older version lacks it
        """
        if self.config_file.is_file():
            self._refuse_another("config", {**(defaults or {}), **self.config()}, config)
            there = self.signature()
            known = [key for key in digests if key in there]
            here = {key: digests[key] for key in known}
            self._refuse_another("data", {key: there[key] for key in known}, here)

    def open(
        self, config: Mapping[str, Any], signature: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Claim the folder for this config and data, or accept that they are already there.

        What the signature says otherwise than when the run began, of an unfinished run that goes on on another machine
        say, is added to it: "resumed", a list.

        defaults  as in ``check``

        Raises ConfigError when the folder holds another run.
        """
        if self.config_file.is_file():
            digests = {key: value for key, value in signature.items() if key.endswith("_digest")}
            self.check(config, digests, defaults)
            self._note_resumed(signature)
            return
        write_text(self.signature_file, json.dumps(signature, indent=2, ensure_ascii=False) + "\n")
        # Last, since its presence says that the folder is claimed.
        write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def _note_resumed(self, signature: Mapping[str, Any]) -> None:
        there = self.signature()
        resumed = there.pop("resumed", [])
        now = {**there, **(resumed[-1] if resumed else {})}
        if not self.finished and any(now.get(key) != value for key, value in signature.items()):
            changes = {key: value for key, value in signature.items() if there.get(key) != value}
            there["resumed"] = [*resumed, changes]
            write_text(self.signature_file, json.dumps(there, indent=2, ensure_ascii=False) + "\n")

    def write_history(self, lines: Iterable[Line]) -> None:
        """Replace the history."""
        write_text(self.history_file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    def write_errors_by_label(self, names: Sequence[str], errors: Mapping[str, Sequence[float | None]]) -> None:
        """Replace the errors of the labels, in percent: of each split one per name, None where it has no row."""
        table = {split: dict(zip(names, values, strict=True)) for split, values in errors.items()}
        write_text(self.errors_by_label_file, json.dumps(table, ensure_ascii=False) + "\n")

    def errors_by_label(self) -> dict[str, dict[str, float | None]]:
        """Read them: split -> label -> percent; empty when the run has none. Raises DataError for a damaged file."""
        return _mapping(self.errors_by_label_file, json.loads) if self.errors_by_label_file.is_file() else {}

    def write_output(self, split: str, lines: Sequence[str], scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the output for a split, and its scores: name -> value, signature, sentences."""
        write_text(self.output_file(split), "".join(f"{line}\n" for line in lines))
        table = self.scores() | {split: scores}
        write_text(self.scores_file, json.dumps(table, indent=2, ensure_ascii=False) + "\n")

    def keep_output(self, name: str) -> None:
        """Let the last output for "valid", where there is one, be that of the checkpoint ``best_by(name)``."""
        if self.output_file("valid").is_file():
            write_text(self.best_output_file(name), self.output_file("valid").read_text(encoding="utf-8"))

    def scores(self) -> dict[str, Any]:
        """Read the scores: split -> name -> value, signature, sentences. Raises DataError for a damaged file."""
        return _mapping(self.scores_file, json.loads) if self.scores_file.is_file() else {}

    def sweep(self) -> None:
        """Remove what processes that were killed while they wrote have left; for the holder of the lock."""
        for partial in self.path.glob(".*.partial*"):
            partial.unlink(missing_ok=True)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        write_text(self.finished_file, json.dumps(facts) + "\n")

    @contextmanager
    def locked(self, patience: float = 5.0) -> Iterator[None]:
        """Keep the folder to this process; the lock goes with the process, however it dies.

        patience  seconds to wait for a process that is just dying

        Raises ConfigError when another process is training there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a") as file:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ConfigError(
                            "out", f"a folder that no other process is training in ({self.path})", "one that is in use"
                        ) from None
                    time.sleep(0.05)
            yield

    def _refuse_another(self, what: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        if keys:
            differences = ", ".join(f"{key} {there.get(key)!r} there, {here.get(key)!r} here" for key in keys)
            raise ConfigError(
                "out",
                f"a folder without another run ({self.path} has another {what})",
                differences,
                "Choose another --out, or remove that folder",
            )


def find_runs(folders: Iterable[Path | str]) -> list[RunFolder]:
    """Return the run folders at or below the given folders, sorted by path.

    Raises DataError when a folder is missing or holds none.
    """
    found: set[Path] = set()
    for folder in map(Path, folders):
        below = {file.parent for file in folder.rglob("config.yaml") if (file.parent / "signature.json").is_file()}
        if not below:
            raise DataError(
                str(folder),
                "a folder with runs (config.yaml, history.jsonl) in it",
                "none" if folder.is_dir() else "no such folder",
                "labelemb train PRESET --out DIR makes some",
            )
        found |= below
    return [RunFolder(path) for path in sorted(found)]


def embedding_file(source: Path) -> Path:
    """Return the file of a label embedding: the source itself, or that of the run folder that it is.

    Raises DataError for a run that learned none.
    """
    if not source.is_dir():
        return source
    file = RunFolder(source).labels_file
    if not file.is_file():
        hint = "One-hot runs learn none; take a seed-N folder below .../label_embedding"
        raise DataError(str(source), "a run with a label embedding", "none", hint)
    return file


def _mapping(path: Path, read: Any) -> dict[str, Any]:
    try:
        content = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(str(path), "a file of a run folder", "no such file") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
        raise DataError(str(path), "a readable file of a run folder", " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise DataError(str(path), "a mapping", type(content).__name__)
    return content
