"""A run folder: creating, checking, reading and locking it. ``paths`` describes its files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from labelemb.errors import ConfigError, RunBusyError
from labelemb.files import write_text
from labelemb.runs.history import Line, read_history, write_history
from labelemb.runs.lock import LeaseLostError, LockBusyError, hold_lease, hold_lock, lease_holder
from labelemb.runs.paths import RunPaths
from labelemb.runs.predictions import Predictions, read_predictions, write_predictions
from labelemb.runs.records import read_json, read_yaml, write_json, write_yaml
from labelemb.runs.schema import Config, ErrorsByLabel, Scores, Signature
from labelemb.runs.sentences import SentenceScores, read_sentences, write_sentences

Entry = TypeVar("Entry")


class RunFolder(RunPaths):
    """One training run on disk."""

    @classmethod
    def of(cls, out: Path | str, preset: str, method: str, seed: int) -> "RunFolder":
        """Return the folder of a run: OUT/PRESET/METHOD/seed-N."""
        return cls(Path(out) / preset / method / f"seed-{seed}")

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.finished_file.is_file()

    @property
    def stopped_early(self) -> bool:
        """Whether the run is complete and ended before its last epoch. Raises DataError for a damaged file."""
        return self.finished and bool(read_json(self.finished_file, dict[str, Any]).get("stopped_early"))

    def config(self) -> dict[str, Any]:
        """Read the resolved configuration. Raises DataError when it is missing or damaged."""
        config: dict[str, Any] = read_yaml(self.config_file, Config)
        return config

    def signature(self) -> dict[str, Any]:
        """Read the provenance of the run. Raises DataError when the file is missing or damaged."""
        signature: dict[str, Any] = read_json(self.signature_file, Signature)
        return signature

    def history(self) -> list[Line]:
        """Read the history, oldest line first; empty before the first evaluation. Raises DataError if damaged."""
        return read_history(self.history_file)

    def check(
        self, config: Mapping[str, Any], digests: Mapping[str, str], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Raise ConfigError if the folder holds a run with another configuration, other data or other input files.

        Args:
            config: Resolved configuration.
            digests: Digests of the data and of the files that the run starts from, by their key in the signature.
            defaults: Default of each configuration key: runs of older versions may lack a key.
        """
        if self.config_file.is_file():
            self._refuse_other("config", {**(defaults or {}), **self.config()}, config)
            existing = self.signature()
            known = [key for key in digests if key in existing]
            given = {key: digests[key] for key in known}
            self._refuse_other("data", {key: existing[key] for key in known}, given)

    def open(
        self, config: Mapping[str, Any], signature: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Create the run, or verify that the existing one has this configuration and data.

        When an unfinished run resumes with a different signature, such as on another machine, the changed entries are
        appended to the list "resumed" in its signature.

        Args:
            config: Resolved configuration.
            signature: Provenance of the run; its keys ``*_digest`` must not change.
            defaults: As in ``check``.

        Raises:
            ConfigError: The folder holds another run.
        """
        if self.config_file.is_file():
            digests = {key: value for key, value in signature.items() if key.endswith("_digest")}
            self.check(config, digests, defaults)
            self._record_resume(signature)
            return
        write_json(self.signature_file, signature, indent=2)
        write_yaml(self.config_file, config)  # last: its presence marks the folder as a run

    def write_history(self, lines: Iterable[Line]) -> None:
        """Replace the history."""
        write_history(self.history_file, lines)

    def write_errors_by_label(self, names: Sequence[str], errors: Mapping[str, Sequence[float | None]]) -> None:
        """Replace the error of each label in percent.

        Args:
            names: V label names.
            errors: V errors for each split, None for labels without examples.
        """
        table = {split: dict(zip(names, values, strict=True)) for split, values in errors.items()}
        write_json(self.errors_by_label_file, table)

    def errors_by_label(self) -> dict[str, dict[str, float | None]]:
        """Read the error of each label, split -> label -> percent; empty without a file. Raises DataError."""
        if not self.errors_by_label_file.is_file():
            return {}
        errors: dict[str, dict[str, float | None]] = read_json(self.errors_by_label_file, ErrorsByLabel)
        return errors

    def write_output(self, split: str, lines: Sequence[str], scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the output of a split and its scores (name -> value, signature, sentences)."""
        write_text(self.output_file(split), "".join(f"{line}\n" for line in lines))
        write_json(self.scores_file, self.scores() | {split: scores}, indent=2)

    def output(self, split: str) -> list[str]:
        """Read the output of a split at the last evaluation, a line per example; empty without a file."""
        file = self.output_file(split)
        return file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []

    def write_predictions(self, predictions: Mapping[str, Predictions]) -> None:
        """Replace the predictions of the last evaluation, split -> predictions; those of ``best.pt`` stay."""
        kept = _without_last(read_predictions(self.predictions_file))
        write_predictions(self.predictions_file, {f"last/{split}": p for split, p in predictions.items()} | kept)

    def write_sentences(self, sentences: Mapping[str, SentenceScores]) -> None:
        """Replace the scores of single sentences of the last evaluation, split -> score -> array.

        Those of the best checkpoints stay.
        """
        kept = _without_last(read_sentences(self.sentences_file))
        write_sentences(self.sentences_file, {f"last/{split}": found for split, found in sentences.items()} | kept)

    def keep_output(self, name: str) -> None:
        """Keep validation output, predictions and scores of the last evaluation as those of ``best_by(name)``."""
        if not name and (predictions := read_predictions(self.predictions_file)):
            write_predictions(self.predictions_file, _with_best(predictions, "best"))
        if sentences := read_sentences(self.sentences_file):
            write_sentences(self.sentences_file, _with_best(sentences, f"best-{name}" if name else "best"))
        if self.output_file("valid").is_file():
            write_text(self.best_output_file(name), self.output_file("valid").read_text(encoding="utf-8"))

    def scores(self) -> dict[str, Any]:
        """Read the scores, split -> name -> value, signature, sentences; empty without a file. Raises DataError."""
        scores: dict[str, Any] = read_json(self.scores_file, Scores) if self.scores_file.is_file() else {}
        return scores

    def fetch(self, checkpoints: bool = True) -> None:
        """Update the local folder from the URL where the run is stored (``StagedRun``); nothing to do for a local run.

        Args:
            checkpoints: Whether checkpoints are needed as well.
        """

    def publish(self) -> None:
        """Copy the folder to the URL where the run is stored, if any; called after each evaluation and at the end."""

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        write_json(self.finished_file, facts)

    @contextmanager
    def locked(self, patience: float = 5.0) -> Iterator[Callable[[], None]]:
        """Hold the run folder for training: its lock, and a lease that other machines on a shared disk respect.

        The lock is released when the process ends, however it dies. The lease of a process that died on another
        machine is taken over after 30 seconds.

        Args:
            patience: Seconds to wait for another process of this machine that is just ending.

        Yields:
            A function that raises RunBusyError once another machine has taken the run over; call it before writing.

        Raises:
            RunBusyError: Another process is training here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(hold_lock(self.lock_file, patience))
                check = stack.enter_context(hold_lease(self.lease_file))
            except LockBusyError:
                raise self._busy("a folder that no other process is training in") from None

            def check_held() -> None:
                try:
                    check()
                except LeaseLostError:
                    raise self._busy("to keep the run") from None

            yield check_held

    def _busy(self, expected: str) -> RunBusyError:
        return RunBusyError(
            "out", f"{expected} ({self.path})", f"one that is in use by {lease_holder(self.lease_file)}"
        )

    def _record_resume(self, signature: Mapping[str, Any]) -> None:
        existing = self.signature()
        resumed = existing.pop("resumed", [])
        current = {**existing, **(resumed[-1] if resumed else {})}
        if not self.finished and any(current.get(key) != value for key, value in signature.items()):
            changes = {key: value for key, value in signature.items() if existing.get(key) != value}
            write_json(self.signature_file, existing | {"resumed": [*resumed, changes]}, indent=2)

    def _refuse_other(self, what: str, existing: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        keys = [key for key in {**existing, **given} if existing.get(key) != given.get(key)]
        if keys:
            differences = ", ".join(f"{key} {existing.get(key)!r} there, {given.get(key)!r} here" for key in keys)
            raise ConfigError(
                "out",
                f"a folder without another run ({self.path} has another {what})",
                differences,
                "Choose another --out, or remove that folder",
            )


def _without_last(found: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of checkpoints other than the last evaluation, CHECKPOINT/SPLIT -> entry."""
    return {key: value for key, value in found.items() if not key.startswith("last/")}


def _with_best(found: Mapping[str, Entry], checkpoint: str) -> dict[str, Entry]:
    """Return the entries with those of the last evaluation as those of a checkpoint, whose former ones are dropped."""
    last = {key.removeprefix("last/"): value for key, value in found.items() if key.startswith("last/")}
    others = {key: value for key, value in found.items() if not key.startswith(f"{checkpoint}/")}
    return others | {f"{checkpoint}/{split}": value for split, value in last.items()}
