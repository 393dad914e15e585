"""A trained text classifier: predictions and evaluation. N texts, V labels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from labelemb.errors import DataError, check_at_least_one
from labelemb.metrics.calibration import fit_temperature
from labelemb.runs import RunFolder
from labelemb.tasks.classification.evaluation import Evaluation, evaluate_logits, top_labels
from labelemb.tasks.classification.labels import match_labels
from labelemb.tasks.classification.pretrained import encoder_folder
from labelemb.tasks.classification.trained import Checkpoint, TrainedClassifier
from labelemb.tasks.text.batch import EncodedTexts
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import TextData, Texts, load, read_labeled
from labelemb.tasks.text.encode import Tokenizer
from labelemb.tasks.text.model import build_model
from labelemb.tasks.text.ngrams import NgramTokenizer
from labelemb.tasks.text.preprocessing import Preprocessing
from labelemb.tasks.text.pretrained import PretrainedTokenizer
from labelemb.tasks.text.task import eval_batches
from labelemb.training.model_size import check_model_size


class TrainedTextModel(TrainedClassifier):
    """The text classifier of a run folder, in evaluation mode. Nothing in the folder is executed.

    Args:
        run: A run folder.
        checkpoint: ``last`` (the one that is reported) or ``best`` on the validation texts.
        device: Torch device.

    Raises:
        DataError: If the folder is not a text-classification run with such a checkpoint.
    """

    def __init__(self, run: RunFolder, checkpoint: Checkpoint = "last", device: str = "cpu") -> None:
        self.text_config = config = read_config(run)
        self.preprocessing = Preprocessing.read(run)
        names = self.preprocessing.label_names
        saved = str(encoder_folder(run))
        self.tokenizer: Tokenizer = PretrainedTokenizer(saved) if config.is_pretrained else NgramTokenizer()
        make = partial(build_model, config, len(names), saved)
        check_model_size(f"{run.config_file}, hidden_size", make)
        super().__init__(run, names, make(), checkpoint, device)

    @torch.no_grad()
    def logits(self, lines: Sequence[str]) -> Tensor:
        """Return float32 logits ``(N, V)`` for N texts, in the precision of the training."""
        encoded = EncodedTexts.of(*self.tokenizer.encode(tuple(lines), self.text_config.max_length))
        found = torch.empty(len(lines), len(self.label_names))
        for rows in eval_batches(encoded):
            ids, mask = encoded.padded(rows, self.tokenizer.pad_id)
            with self.autocast():
                logits = self.model.head(self.model(ids.to(self.device), mask.to(self.device)))  # type: ignore[operator]
            found[torch.from_numpy(rows)] = logits.float().cpu()
        return found

    def predict(self, lines: Sequence[str], top: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each text the ``top`` most probable labels with their probabilities, most probable first.

        A fitted temperature of the run is used.

        Raises:
            ConfigError: If ``top`` is less than 1.
        """
        check_at_least_one("top", top)
        return top_labels(self.logits(lines) / self.temperature, self.label_names, top)

    def fit_temperature(self, folder: Path | None = None) -> float:
        """Fit a temperature to the validation texts of the run.

        Args:
            folder: Folder that the paths of the run's data are relative to.

        Raises:
            DataError: If the run held out no texts.
        """
        valid = self._data(folder).valid
        if valid is None:
            expected = "a run with validation texts, to fit a temperature on"
            raise DataError(str(self.run.path), expected, "none held out", "Train with --validate true")
        return fit_temperature(self.logits(valid.lines), valid.labels)

    def evaluate(self, texts: Texts, temperature: float = 1.0) -> Evaluation:
        """Evaluate on texts whose labels are numbered like the model's."""
        return evaluate_logits(self.logits(texts.lines), texts.labels, self.label_names, temperature)

    def test_texts(self, dataset: str | None = None, folder: Path | None = None) -> Texts:
        """Return labeled texts to evaluate on, with labels matched to the model's by name.

        Args:
            dataset: A file of labeled texts, as in the config; None: the run's own test texts.
            folder: Folder that paths are relative to.

        Raises:
            DataError: If the texts cannot be read, or the model lacks one of their labels.
        """
        if dataset is None:
            data = self._data(folder)
            index = match_labels(data.label_names, self.label_names, self.text_config.dataset)
            return replace(data.test, labels=index[data.test.labels])
        rows = read_labeled(replace(self.text_config.data_options, dataset=dataset), folder)
        names = sorted({label for _, label in rows})
        index = match_labels(names, self.label_names, dataset)
        number = {name: int(index[place]) for place, name in enumerate(names)}
        return Texts(tuple(text for text, _ in rows), torch.tensor([number[label] for _, label in rows]))

    def _data(self, folder: Path | None) -> TextData:
        """Read the run's own data set, split as it was for training."""
        return load(self.text_config.data_options, folder)


def read_config(run: RunFolder) -> TextConfig:
    """Return the config of a text-classification run.

    Raises:
        DataError: If the run is of another task.
    """
    return TextConfig.read(run, required=("text_column",))
