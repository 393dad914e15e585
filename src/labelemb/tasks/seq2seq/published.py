"""A run folder under the file names of the published program.

LOG/NAME/
    log.txt                       a line per evaluation
    checkpoint.pt                 to go on from
    best_METRIC_checkpoint.pt     the best on the validation text, and its output:
    best_METRIC_prediction.txt
    METRIC.txt                    the score of each evaluation
beside config.yaml, history.jsonl and so on of every run.
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
    """A run folder under the published names; ``RunFolder`` says what its files are."""

    @property
    def last_checkpoint(self) -> Path:
        """Return the checkpoint to go on from."""
        return self.path / "checkpoint.pt"

    def best_by(self, name: str) -> Path:
        """Return the checkpoint that was best by a score, or by perplexity for ""."""
        return self.path / f"best_{name or 'perplexity'}_checkpoint.pt"

    def best_output_file(self, name: str) -> Path:
        """Return its output for the validation text."""
        return self.path / f"best_{name or 'perplexity'}_prediction.txt"

    def write_history(self, lines: Iterable[Line]) -> None:
        """Replace the history, and what is told of it in log.txt and METRIC.txt."""
        lines = list(lines)
        super().write_history(lines)
        write_text(self.path / "log.txt", "".join(f"{_told(line)}\n" for line in lines))
        for name, figure in SCORES.items():
            figures = [f"valid_{figure}", f"test_{figure}"]
            if lines and figures[0] in lines[-1]:
                write_text(self.path / f"{name}.txt", "".join(f"{_told(line, figures)}\n" for line in lines))


def folder_of(path: Path) -> RunFolder:
    """Return the run folder at ``path``, under whichever names it was written."""
    published = PublishedFolder(path)
    return published if published.last_checkpoint.is_file() else RunFolder(path)


def _told(line: Line, keys: list[str] | None = None) -> str:
    """Write a history line for people: the keys, or all figures."""
    shown = keys if keys is not None else [key for key in line if SHOWN.match(key)]
    figures = "  ".join(f"{key} {line[key]:.4f}" for key in shown if key in line)
    return f"epoch {line['epoch']}  step {line['step']}  {figures}"
