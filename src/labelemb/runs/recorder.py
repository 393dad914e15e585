"""Recorder: write the run folder of any training loop, so that ``labelemb report`` and ``compare`` can read it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labelemb.errors import ConfigError
from labelemb.runs.folder import RunFolder
from labelemb.runs.history import Line, check_history
from labelemb.runs.provenance import collect_provenance


class Recorder:
    """Record one run of your own training loop as ``OUT/EXPERIMENT/METHOD/seed-N``.

    Runs of several methods with the same seeds are compared pairwise: ``labelemb report OUT/EXPERIMENT``. Errors are
    in percent: ``valid_error`` chooses a checkpoint, ``test_error`` is reported; any other number may be logged too.
    A run that was recorded before and did not finish is continued: its history is kept.

    Args:
        out: Directory of all runs.
        experiment: Name of the data set or task.
        method: Name of what is compared, such as "label_embedding" or "baseline".
        seed: Random seed, >= 0.
        config: Options of the run, shown in the report; a folder with other options is refused.
        data_digest: Anything that identifies the data; runs of different data are not compared.

    Raises:
        ConfigError: For a name that is not one path component, and a folder that holds another run.

    Example:
        >>> import tempfile
        >>> with Recorder(tempfile.mkdtemp(), "intents", "baseline", seed=0, config={"lr": 1e-3}) as recorder:
        ...     recorder.log(epoch=1, step=100, valid_error=12.5, test_error=13.0)
        >>> recorder.run.finished, recorder.run.history()[-1]["test_error"]
        (True, 13.0)
    """

    def __init__(
        self,
        out: Path | str,
        experiment: str,
        method: str,
        seed: int,
        config: Mapping[str, Any] | None = None,
        data_digest: str = "",
    ) -> None:
        for name, value in (("experiment", experiment), ("method", method)):
            if not value or value in (".", "..") or "/" in value or "\\" in value:
                raise ConfigError(name, "a name of one path component", repr(value))
        if not isinstance(seed, int) or seed < 0:
            raise ConfigError("seed", "a whole number >= 0", repr(seed))
        self.run = RunFolder.of(out, experiment, method, seed)
        signature = collect_provenance(seed, data_digest or experiment, "cpu")
        self.run.open({"method": method, "seed": seed, **(config or {})}, signature)
        self._lines = self.run.history()

    def log(
        self, epoch: int, step: int | None = None, terms: Mapping[str, float] | None = None, **metrics: float
    ) -> None:
        """Append the metrics of an evaluation.

        Args:
            epoch: Epochs so far, >= 1.
            step: Optimizer steps so far, increasing; None: one evaluation per epoch.
            terms: Terms of the loss.
            **metrics: Numbers, such as ``valid_error`` and ``test_error`` in percent.

        Raises:
            ConfigError: For a metric that is no finite number.
            DataError: For an evaluation that is not later than the one before.
        """
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(name, "a finite number", repr(value))
        line: Line = {"epoch": epoch, "step": epoch if step is None else step, "terms": dict(terms or {}), **metrics}
        self.replace([*self._lines, line])

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
