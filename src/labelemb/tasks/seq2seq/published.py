"""Run folder with the file names of the published program.

LOG/NAME/
    log.txt                       one line per evaluation
    checkpoint.pt                 checkpoint to resume from
    best_METRIC_checkpoint.pt     checkpoint with the best validation METRIC
    best_METRIC_prediction.txt    its output for the validation text
    METRIC.txt                    METRIC of each evaluation

Other files, such as config.yaml and history.jsonl, are as in every run folder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labelemb.files import write_text
from labelemb.runs import Line, RunFolder
from labelemb.tasks.seq2seq.scores import SCORES
from labelemb.training.progress import SHOWN


@dataclass(frozen=True)
class PublishedFolder(RunFolder):
    """Run folder with the published file names; see ``RunFolder`` for the contents of the files."""

    @property
    def last_checkpoint(self) -> Path:
        """Return the checkpoint to resume from."""
        return self.path / "checkpoint.pt"

    def best_by(self, name: str) -> Path:
        """Return the checkpoint with the best validation metric ``name``, or the best perplexity if it is empty."""
        return self.path / f"best_{name or 'perplexity'}_checkpoint.pt"

    def best_output_file(self, name: str) -> Path:
        """Return the file with the validation output of the checkpoint ``best_by(name)``."""
        return self.path / f"best_{name or 'perplexity'}_prediction.txt"

    def write_history(self, lines: Iterable[Line]) -> None:
        """Replace the history, log.txt and METRIC.txt."""
        lines = list(lines)
        super().write_history(lines)
        write_text(self.path / "log.txt", "".join(f"{_format_line(line)}\n" for line in lines))
        for name, figure in SCORES.items():
            figures = [f"valid_{figure}", f"test_{figure}"]
            if lines and figures[0] in lines[-1]:
                write_text(self.path / f"{name}.txt", "".join(f"{_format_line(line, figures)}\n" for line in lines))


def open_run_folder(path: Path) -> RunFolder:
    """Return the run folder at ``path`` with its own or with the published file names, whichever it has."""
    published = PublishedFolder(path)
    return published if published.last_checkpoint.is_file() else RunFolder(path)


def _format_line(line: Line, keys: list[str] | None = None) -> str:
    """Format the values of a history line for a text file.

    Args:
        line: The history line.
        keys: Names of the values. Default: all metrics.

    Returns:
        The text.
    """
    selected = keys if keys is not None else [key for key in line if SHOWN.match(key)]
    figures = "  ".join(f"{key} {line[key]:.4f}" for key in selected if key in line)
    return f"epoch {line['epoch']}  step {line['step']}  {figures}"
