"""The files of a run folder.

OUT/PRESET/METHOD/seed-N/
    config.yaml           resolved configuration
    signature.json        versions, git commit, machine, threads, seed, digest of the data
    history.jsonl         one line per evaluation
    errors-by-label.json  classification: error of each label at the last evaluation
    predictions.npz       classification: predictions for the held-out examples by the last and the best checkpoint
    labels.safetensors    label embedding, if the method learns one
    data.json             label names, input sizes and normalization that the trained model needs
    last.pt               checkpoint to resume from
    best.pt               checkpoint with the best validation result
    best-SCORE.pt         seq2seq: checkpoint with the best validation score, such as best-bleu.pt
    scores.json           seq2seq: scores at the last evaluation, with their signatures
    sentences.npz         seq2seq: scores of single sentences, of the last evaluation and of each best checkpoint
    SPLIT.output.txt      seq2seq: output for "valid" and "test" at the last evaluation
    best-SCORE.output.txt seq2seq: output for "valid" of best-SCORE.pt
    finished.json         written last: the run is complete
    error.txt             traceback of an unexpected error
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """Names the files of a run folder.

    Args:
        path: The run folder.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """Resolved configuration."""
        return self.path / "config.yaml"

    @property
    def signature_file(self) -> Path:
        """Versions, machine and data that the run was made with."""
        return self.path / "signature.json"

    @property
    def history_file(self) -> Path:
        """One line per evaluation."""
        return self.path / "history.jsonl"

    @property
    def labels_file(self) -> Path:
        """Label embedding, if the method learns one."""
        return self.path / "labels.safetensors"

    @property
    def data_file(self) -> Path:
        """Input description that the trained model needs."""
        return self.path / "data.json"

    @property
    def errors_by_label_file(self) -> Path:
        """Error of each label at the last evaluation."""
        return self.path / "errors-by-label.json"

    @property
    def predictions_file(self) -> Path:
        """Predictions of a classification run for its held-out examples."""
        return self.path / "predictions.npz"

    @property
    def sentences_file(self) -> Path:
        """Scores of the single sentences of a seq2seq run."""
        return self.path / "sentences.npz"

    @property
    def scores_file(self) -> Path:
        """Scores of a seq2seq run at the last evaluation."""
        return self.path / "scores.json"

    @property
    def last_checkpoint(self) -> Path:
        """Checkpoint to resume from."""
        return self.path / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """Checkpoint with the best validation result."""
        return self.path / "best.pt"

    @property
    def finished_file(self) -> Path:
        """Written last, when the run is complete."""
        return self.path / "finished.json"

    @property
    def error_file(self) -> Path:
        """Traceback of an unexpected error."""
        return self.path / "error.txt"

    @property
    def lock_file(self) -> Path:
        """Locked by the process that trains here."""
        return self.path / ".lock"

    @property
    def lease_file(self) -> Path:
        """Lease: names the process that trains here and its machine, and exists while that process runs."""
        return self.path / ".lease"

    def best_by(self, name: str) -> Path:
        """Return the checkpoint with the best value of a score: "bleu" -> best-bleu.pt, "" -> best.pt."""
        return self.path / f"best-{name}.pt" if name else self.best_checkpoint

    def output_file(self, split: str) -> Path:
        """Return the output file of a split ("valid" or "test"), one line per example."""
        return self.path / f"{split}.output.txt"

    def best_output_file(self, name: str) -> Path:
        """Return the validation output of ``best_by(name)``: "bleu" -> best-bleu.output.txt."""
        return self.path / f"best-{name}.output.txt" if name else self.path / "best.output.txt"
