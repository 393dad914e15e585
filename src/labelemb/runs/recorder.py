"""Recorder: write the run folder of any training loop, so that ``labelemb report`` and ``compare`` can read it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from labelemb.errors import ConfigError, ShapeError
from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import errors_by_label
from labelemb.metrics.held_out import held_out_figures
from labelemb.runs.folder import RunFolder
from labelemb.runs.history import Line, check_history
from labelemb.runs.predictions import TOP, Predictions
from labelemb.runs.provenance import collect_provenance
from labelemb.runs.records import write_json
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
        method: Name of what is compared, such as "label_embedding" or "baseline".
        seed: Random seed, >= 0.
        config: Options of the run, shown in the report; a folder with other options is refused.
        data_digest: Anything that identifies the data; runs of different data are not compared.
        label_names: The V label names, for confusion matrices and soft labels; None: numbers.

    Raises:
        ConfigError: For a name that is not one path component, and a folder that holds another run.

    Example:
        >>> import tempfile
        >>> with Recorder(tempfile.mkdtemp(), "intents", "baseline", seed=0, config={"lr": 1e-3}) as recorder:
        ...     recorder.log(epoch=1, step=100, valid_error=12.5, test_error=13.0)
        >>> recorder.run.finished, recorder.run.history()[-1]["test_error"]
        (True, 13.0)

        With logits of a test set and a learned label embedding:

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
        for name, value in (("experiment", experiment), ("method", method)):
            if not value or value in (".", "..") or "/" in value or "\\" in value:
                raise ConfigError(name, "a name of one path component", repr(value))
        if not isinstance(seed, int) or seed < 0:
            raise ConfigError("seed", "a whole number >= 0", repr(seed))
        self.run = RunFolder.of(out, experiment, method, seed)
        signature = collect_provenance(seed, data_digest or experiment, "cpu")
        self.run.open({"method": method, "seed": seed, **(config or {})}, {**signature, "recorded": True})
        if label_names is not None:
            write_json(self.run.data_file, {"label_names": list(label_names)}, indent=2)
        self._label_names = None if label_names is None else list(label_names)
        self._lines = self.run.history()

    def log(
        self,
        epoch: int,
        step: int | None = None,
        terms: Mapping[str, float] | None = None,
        *,
        logits: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        **metrics: float,
    ) -> None:
        """Append the metrics of an evaluation.

        Args:
            epoch: Epochs so far, >= 1.
            step: Optimizer steps so far, increasing; None: one evaluation per epoch.
            terms: Terms of the loss.
            logits: "valid" or "test" -> logits ``(N, V)`` and labels ``(N,)`` of all its examples, in the same order in
                each run. The metrics of ``labelemb train`` are computed from them, and the predictions replace those of
                the evaluation before.
            **metrics: Numbers, such as ``valid_error`` and ``test_error`` in percent.

        Raises:
            ConfigError: For numbers that are not finite, another split, and labels out of range.
            ShapeError: For logits and labels that do not fit each other or the label names.
            DataError: For an evaluation that is not later than the one before.
        """
        for split, (rows, labels) in (logits or {}).items():
            self._check_logits(split, rows, labels)
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(name, "a finite number", repr(value))
        line: Line = {"epoch": epoch, "step": epoch if step is None else step, "terms": dict(terms or {}), **metrics}
        scores = {split: RowScores.of(rows, labels) for split, (rows, labels) in (logits or {}).items()}
        for split, (rows, labels) in (logits or {}).items():
            figures = held_out_figures(scores[split], labels, rows.shape[1])
            line |= {f"{split}_{name}": value for name, value in figures.items()}
        self.replace([*self._lines, line])
        if logits:
            self._write_predictions(logits, scores)

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

    def _check_logits(self, split: str, logits: Tensor, labels: Tensor) -> None:
        if split not in SPLITS:
            raise ConfigError("logits", " or ".join(SPLITS), repr(split))
        names = self._label_names
        columns = "V" if names is None else len(names)
        if logits.dim() != 2 or len(logits) == 0 or (names is not None and logits.shape[1] != len(names)):
            raise ShapeError(f"logits of {split}", f"shape (N, {columns}), N >= 1", tuple(logits.shape))
        if not bool(logits.isfinite().all()):
            raise ConfigError(f"logits of {split}", "finite numbers", "NaN or infinity")
        if labels.shape != logits.shape[:1] or labels.dtype != torch.int64:
            expected = f"int64 labels of shape ({len(logits)},)"
            raise ShapeError(f"labels of {split}", expected, f"{labels.dtype} {tuple(labels.shape)}")
        if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
            found = f"{int(labels.min())} to {int(labels.max())}"
            raise ConfigError(f"labels of {split}", f"labels from 0 to {logits.shape[1] - 1}", found)

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
