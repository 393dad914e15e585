"""One training run as the report reads it from its directory."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from labelemb.errors import DataError
from labelemb.runs import Line, RunFolder
from labelemb.runs.records import read_json
from labelemb.runs.schema import DataFacts

Selection = Literal["last", "chosen"]
SELECTIONS: dict[Selection, str] = {
    "last": "test error after the last epoch (the published convention)",
    "chosen": "test error at the epoch with the lowest validation error",
}


def is_finite(line: Line, key: str) -> bool:
    """Return whether a history line has a finite number for the key (diverged runs log NaN)."""
    return line.get(key) is not None and math.isfinite(line[key])


@dataclass(frozen=True)
class Run:
    """One training run. Errors are in percent.

    Attributes:
        folder: Run folder.
        experiment: Name of the data set or preset.
        method: Name of the directory above the seeds: a method, or a variant of one.
        seed: Random seed.
        config: Resolved configuration.
        signature: Versions, machine and data digest.
        history: One entry per evaluation.
        finished: Whether training is complete.
    """

    folder: RunFolder
    experiment: str
    method: str
    seed: int
    config: dict[str, Any]
    signature: dict[str, Any]
    history: list[Line]
    finished: bool

    @classmethod
    def read(cls, folder: RunFolder) -> "Run":
        """Read ``OUT/EXPERIMENT/METHOD/seed-N``, or ``OUT/EXPERIMENT/LOG`` as written by the published scripts.

        Raises:
            DataError: A file of the run is damaged.
        """
        # Read first: a run that finishes while it is being read must not count with an incomplete history.
        finished = folder.finished
        config, path = folder.config(), folder.path.resolve()
        try:
            seed = int(config.get("seed", 0))
        except (TypeError, ValueError) as error:
            raise DataError(f"{folder.config_file}: seed", "a whole number", repr(config["seed"])) from error
        experiment, method = path.parent.parent.name, path.parent.name
        if not path.name.startswith("seed-"):
            experiment, method = path.parent.name, str(config.get("method", path.name))
        return cls(folder, experiment, method, seed, config, folder.signature(), folder.history(), finished)

    @property
    def epochs_done(self) -> int:
        """Return the epoch of the last evaluation, 0 without any."""
        return int(self.history[-1]["epoch"]) if self.history else 0

    @property
    def label_names(self) -> list[str]:
        """Return the label names from data.json, none when the run has no such file."""
        file = self.folder.data_file
        names: list[str] = read_json(file, DataFacts).get("label_names", []) if file.is_file() else []
        return names

    def test_error(self, selection: Selection) -> float | None:
        """Return a test error in percent, None when the run has none.

        The lowest of several test errors is never reported, since choosing it would use the test set.

        Args:
            selection: ``"last"`` for the last epoch, ``"chosen"`` for the first epoch with the lowest validation error.
        """
        lines = [line for line in self.history if selection == "last" or line.get("valid_error") is not None]
        if not lines:
            return None
        line = lines[-1] if selection == "last" else min(lines, key=lambda line: float(line["valid_error"]))
        return None if line.get("test_error") is None else float(line["test_error"])

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Return ``(epoch, value)`` of every evaluation with a finite value; epochs are fractions between epoch ends.

        Args:
            key: Key of the history, or ``terms.NAME`` for a term of the loss.
        """
        if not self.history:
            return []
        last = self.history[-1]
        steps_per_epoch = last.get("step", last["epoch"]) / last["epoch"]
        group, _, name = key.rpartition(".")
        found = [(line, line.get(group) or {} if group else line) for line in self.history]
        return [
            (line.get("step", line["epoch"]) / steps_per_epoch, float(values[name]))
            for line, values in found
            if is_finite(values, name)
        ]

    def seconds_per_epoch(self) -> list[float]:
        """Return the training time per epoch, one value for each interval between evaluations."""
        ends = [epoch for epoch, _ in self.curve("epoch")]
        intervals = zip(self.history, [0.0, *ends], ends, strict=False)
        return [float(line["seconds"]) / (end - start) for line, start, end in intervals if "seconds" in line]
