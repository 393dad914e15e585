"""Recorder: write the run folder of any training loop, so that ``labelemb report`` and ``compare`` can read it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from labelemb.errors import ConfigError, ShapeError
from labelemb.files import check_output_folder
from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import errors_by_label
from labelemb.metrics.held_out import held_out_metrics
from labelemb.metrics.logits import check_logits
from labelemb.runs.folder import RunFolder
from labelemb.runs.history import Line, check_history
from labelemb.runs.predictions import TOP, Predictions
from labelemb.runs.provenance import collect_provenance
from labelemb.runs.records import write_json
from labelemb.runs.schema import Config, check_schema
from labelemb.terms.embedding import LabelEmbedding

SPLITS = ("valid", "test")


class Recorder:
    """Record one run of your own training loop as ``OUT/EXPERIMENT/METHOD/seed-N``.

    Runs of several methods with the same seeds are compared pairwise: ``labelemb report OUT/EXPERIMENT``. Errors are
    in percent: ``valid_error`` chooses a checkpoint, ``test_error`` is reported; any other number may be logged too.
    From logits the recorder computes the errors and the other metrics of a classifier itself, and keeps the predictions
    for confusion matrices and tests over examples. A run that was recorded before and did not finish is continued: its
    history is kept.

    Args:
        out: Directory of all runs.
        experiment: Name of the data set or task.
        method: Name of the method in the report, such as "label_embedding" or "baseline".
        seed: Random seed, >= 0.
        config: Options of the run (numbers, texts, booleans, None, or lists of them), shown in the report; a folder
            with other options is refused.
        data_digest: Anything that identifies the data; runs of different data are not compared.
        label_names: The V label names, all different, for confusion matrices and soft labels; None: numbers.

    Raises:
        ConfigError: For a name that is not one path component, label names that are not different texts, and a folder
            that holds another run or cannot be written to.
        DataError: For an option that the report could not read.

    Example:
        >>> import tempfile
        >>> with Recorder(tempfile.mkdtemp(), "intents", "baseline", seed=0, config={"lr": 1e-3}) as recorder:
        ...     recorder.log(epoch=1, step=100, valid_error=12.5, test_error=13.0)
        >>> recorder.run.finished, recorder.run.history()[-1]["test_error"]
        (True, 13.0)

        With logits of a test set and a learned label embedding:

        >>> import torch
        >>> from labelemb import DenseLabelEmbedding
        >>> logits, labels = torch.eye(3), torch.tensor([0, 1, 1])
        >>> with Recorder(tempfile.mkdtemp(), "intents", "label_embedding", 0, label_names=["a", "b", "c"]) as recorder:
        ...     recorder.log(epoch=1, logits={"test": (logits, labels)})
        ...     recorder.save_label_embedding(DenseLabelEmbedding(3))
        >>> round(recorder.run.history()[-1]["test_error"], 1)
        33.3
    """

    def __init__(
        self,
        out: Path | str,
        experiment: str,
        method: str,
        seed: int,
        config: Mapping[str, Any] | None = None,
        data_digest: str = "",
        label_names: Sequence[str] | None = None,
    ) -> None:
        check_run_names(experiment, method, seed)
        if label_names is not None:
            _check_label_names(label_names)
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in (config or {}).items()}
        check_schema("config", Config, options)
        self.run = RunFolder.of(out, experiment, method, seed)
        signature = collect_provenance(seed, data_digest or experiment, "cpu")
        check_output_folder("out", self.run.path)
        own = {"method": method, "seed": seed}
        self.run.open({**own, **options, **own}, {**signature, "recorded": True})
        if label_names is not None:
            write_json(self.run.data_file, {"label_names": list(label_names)}, indent=2)
        self._label_names = None if label_names is None else list(label_names)
        self._lines = self.run.history()

    def log(
        self,
        epoch: int,
        step: int | None = None,
        terms: Mapping[str, float | Tensor] | None = None,
        *,
        logits: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        **metrics: float,
    ) -> None:
        """Append the metrics of an evaluation.

        Args:
            epoch: Epochs so far, >= 1.
            step: Optimizer steps so far, increasing; None: one evaluation per epoch.
            terms: Terms of the loss, such as ``LossOutput.terms``.
            logits: "valid" or "test" -> logits ``(N, V)`` and labels ``(N,)`` of all its examples, in the same order in
                each run. The metrics of ``labelemb train`` are computed from them, and the predictions replace those of
                the evaluation before.
            **metrics: Numbers, such as ``valid_error`` and ``test_error`` in percent.

        Raises:
            ConfigError: For metrics that are not finite, terms that are not numbers, another split, and labels out of
                range.
            ShapeError: For logits and labels that do not fit each other or the label names.
            DataError: For an evaluation that is not later than the one before.
        """
        held_out = {split: checked_logits(split, pair, self._label_names) for split, pair in (logits or {}).items()}
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(name, "a finite number", repr(value))
        position = {"epoch": epoch, "step": epoch if step is None else step}
        line: Line = {**position, "terms": _numbers(terms or {}), **metrics}
        scores = {split: RowScores.of(rows, labels) for split, (rows, labels) in held_out.items()}
        for split, (rows, labels) in held_out.items():
            found = held_out_metrics(scores[split], labels, rows.shape[1])
            line |= {f"{split}_{name}": value for name, value in found.items()}
        self.replace([*self._lines, line])
        if held_out:
            self._write_predictions(held_out, scores)

    def save_label_embedding(self, embedding: LabelEmbedding) -> None:
        """Save a learned label embedding, for heat maps and similar labels in the report.

        Args:
            embedding: That of the loss, ``loss.embedding``.
        """
        embedding.save(self.run.labels_file, self._label_names)

    def replace(self, lines: Sequence[Line]) -> None:
        """Replace all that was recorded so far.

        Args:
            lines: Evaluations: "epoch", "step", "terms" and metrics, as ``log`` takes them.

        Raises:
            DataError: For an evaluation that is not later than the one before.
        """
        check_history(self.run.history_file, lines)
        self.run.write_history(lines)
        self._lines = list(lines)

    def finish(self) -> None:
        """Mark the run as complete: only complete runs enter a comparison.

        Raises:
            ConfigError: Where nothing was logged.
        """
        if not self._lines:
            raise ConfigError("finish()", "an evaluation before, recorder.log(epoch=1, test_error=...)", "none")
        self.run.finish({"epochs": self._lines[-1]["epoch"], "steps": self._lines[-1]["step"]})

    def _write_predictions(self, logits: Mapping[str, tuple[Tensor, Tensor]], scores: Mapping[str, RowScores]) -> None:
        predictions, errors = {}, {}
        for split, (rows, labels) in logits.items():
            num_labels = rows.shape[1]
            probabilities, top = rows.double().softmax(1).topk(min(TOP, num_labels))
            predictions[split] = Predictions.of(scores[split], labels, top, probabilities)
            errors[split] = errors_by_label(scores[split].correct, labels, num_labels)
            names = self._label_names or [str(number) for number in range(num_labels)]
        self.run.write_errors_by_label(names, errors)
        self.run.write_predictions(predictions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()


def check_run_names(experiment: object, method: object, seed: object) -> None:
    """Raise ConfigError unless these can name a run folder ``EXPERIMENT/METHOD/seed-N``."""
    for name, value in (("experiment", experiment), ("method", method)):
        if not isinstance(value, str) or value in ("", ".", "..") or "/" in value or "\\" in value:
            raise ConfigError(name, "a name of one path component", repr(value))
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError("seed", "a whole number >= 0", repr(seed))


def checked_logits(split: str, pair: object, label_names: Sequence[str] | None) -> tuple[Tensor, Tensor]:
    """Return logits, without gradient, and labels of a split; see ``Recorder.log``. Raises ConfigError, ShapeError."""
    if split not in SPLITS:
        raise ConfigError("logits", " or ".join(SPLITS), repr(split))
    if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        parts = pair if isinstance(pair, tuple | list) else [pair]
        found = ", ".join(type(part).__name__ for part in parts)
        raise ShapeError(f"logits of {split}", "a tuple of two tensors, logits and labels", found)
    logits, labels = pair[0].detach(), pair[1]
    check_logits(logits, labels, None if label_names is None else len(label_names), of=split)
    return logits, labels


def _check_label_names(names: Sequence[str]) -> None:
    """Raise ConfigError unless the names are different texts: files of a run have them as keys."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError("label_names", "a sequence of texts", repr(names))
    if not names or len(set(names)) < len(names):
        found = next((f"{name!r} twice" for name in names if list(names).count(name) > 1), "none")
        raise ConfigError("label_names", "different names, one per label", found)


def _numbers(terms: Mapping[str, float | Tensor]) -> dict[str, float]:
    """Return terms of a loss as numbers that JSON can hold. Raises ConfigError."""
    try:
        return {name: float(value) for name, value in terms.items()}
    except (AttributeError, RuntimeError, TypeError, ValueError):
        raise ConfigError("terms", "a dictionary of numbers or scalar tensors", repr(terms)) from None
