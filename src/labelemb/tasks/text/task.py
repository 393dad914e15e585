"""Text classification as a training task."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from labelemb.runs import RunFolder
from labelemb.tasks.classification.imbalance import balanced_rows
from labelemb.tasks.classification.pretrained import encoder_folder
from labelemb.tasks.classification.summary import summary_lines
from labelemb.tasks.classification.task import ClassificationTask, build_classification_loss
from labelemb.tasks.text.batch import EncodedTexts, TextBatch, batches_by_length
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import TextData
from labelemb.tasks.text.encode import encode_texts
from labelemb.tasks.text.model import build_model, build_tokenizer
from labelemb.tasks.text.preprocessing import Preprocessing
from labelemb.tasks.text.pretrained import PretrainedEncoder, PretrainedTokenizer
from labelemb.training.seeding import drawing_from
from labelemb.training.task import Shard

EVAL_BATCH_SIZE = 128


class TextTask(ClassificationTask):
    """A model, a loss and encoded texts.

    Args:
        config: Configuration of the run.
        data: The data set.

    Raises:
        ConfigError: If the options do not fit each other or the model.
        DataError: If the pretrained model or a file that the method reads cannot be used.
    """

    unit = "texts"

    def __init__(self, config: TextConfig, data: TextData) -> None:
        super().__init__(data.label_names, config.groups_of(data.label_names))
        self.config, self.data = config, data
        self.tokenizer = build_tokenizer(config)
        with drawing_from(config.seed, "model"):
            self.model = self.classifier = build_model(config, len(data.label_names))
        if isinstance(self.classifier.encoder, PretrainedEncoder) and isinstance(self.tokenizer, PretrainedTokenizer):
            self.classifier.encoder.check_tokenizer(self.tokenizer, config.max_length)
        self._encoded = {
            name: encode_texts(texts, self.tokenizer, config.max_length) for name, texts in data.splits.items()
        }
        self.steps_per_epoch = -(-len(data.train) // config.batch_size)
        with drawing_from(config.seed, "loss"):
            self.loss = build_classification_loss(
                config, self.classifier.head.in_features, data.label_names, data.train.labels, self.steps_per_epoch
            )

    def setup(self, device: torch.device) -> None:
        """Move the labels to the device; texts follow batch by batch."""
        self._device = device
        self._labels = {name: texts.labels.to(device) for name, texts in self.data.splits.items()}

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[list[TextBatch]]:
        """Yield the training batches of an epoch; they depend on the seed and the epoch only."""
        config = self.config
        balanced = config.sampling == "balanced"
        rows = balanced_rows(self.data.train.labels, config.seed, epoch).numpy() if balanced else None
        plan = batches_by_length(self._encoded["train"].lengths, config.batch_size, config.seed, epoch, rows)
        for rows in plan[start:]:
            yield [self._batch("train", piece) for piece in shard.pieces(torch.from_numpy(rows))]

    def held_out_labels(self, last: bool) -> Mapping[str, Tensor]:
        """Return the labels of the validation split, and at the end of the run also those of the test split."""
        names = [name for name in self._labels if name == "valid" or (name == "test" and last)]
        return {name: self._labels[name] for name in names}

    def held_out_batches(self, split: str, shard: Shard) -> Iterator[tuple[Tensor, TextBatch]]:
        """Yield this process's share of a held-out split, longest texts first."""
        for rows in eval_batches(self._encoded[split])[shard.index :: shard.count]:
            batch = self._batch(split, torch.from_numpy(rows))
            assert batch.index is not None
            yield batch.index, batch

    def save_artifacts(self, run: RunFolder) -> None:
        """Write the preprocessing, the errors by label and the label embedding."""
        if not run.data_file.is_file():  # written last
            encoder = self.classifier.encoder
            if isinstance(self.tokenizer, PretrainedTokenizer) and isinstance(encoder, PretrainedEncoder):
                self.tokenizer.tokenizer.save_pretrained(encoder_folder(run))
                encoder.encoder.config.save_pretrained(encoder_folder(run))
            self.preprocessing.write(run)
        super().save_artifacts(run)

    def summary(self) -> tuple[str, ...]:
        """Describe data, model and device."""
        splits = {name: texts.labels for name, texts in self.data.splits.items()}
        facts, limit = self.preprocessing, self.config.max_length
        notes = [
            f"{count:,} of the {len(splits[name]):,} {name} texts are also training texts"
            for name, count in facts.duplicates.items()
            if count
        ]
        notes += [
            f"{count:,} {name} texts are longer than {limit} tokens and are truncated (--max_length)"
            for name, count in facts.truncated.items()
            if count
        ]
        return summary_lines(self.config, self.unit, splits, self.model, self.steps_per_epoch, tuple(notes))

    @property
    def preprocessing(self) -> Preprocessing:
        """Return what the run must remember about its data."""
        sizes = {name: len(texts) for name, texts in self.data.splits.items()}
        truncated = {name: encoded.truncated for name, encoded in self._encoded.items()}
        return Preprocessing(self.label_names, sizes, self.data.duplicates, truncated)

    def _batch(self, split: str, rows: Tensor) -> TextBatch:
        ids, mask = self._encoded[split].padded(rows.numpy(), self.tokenizer.pad_id)
        rows = rows.to(self._device)
        return TextBatch(ids.to(self._device), mask.to(self._device), self._labels[split][rows], rows)


def eval_batches(encoded: EncodedTexts) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the rows of each evaluation batch: texts of similar lengths, the longest first."""
    order = np.argsort(-encoded.lengths, kind="stable")
    return [order[start : start + EVAL_BATCH_SIZE] for start in range(0, len(order), EVAL_BATCH_SIZE)]
