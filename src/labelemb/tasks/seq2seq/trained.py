"""Translate and evaluate text with a trained sequence-to-sequence run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from labelemb.errors import ConfigError, DataError, check_at_least_one
from labelemb.losses.cross_entropy import LinearCrossEntropyLoss
from labelemb.metrics.bleu import Score
from labelemb.metrics.likelihood import mean_nll, perplexity
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq.batch import PairBatch, batches_by_length
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.hypothesis import SearchSettings
from labelemb.tasks.seq2seq.published import open_run_folder
from labelemb.tasks.seq2seq.scores import score_all
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.task import build_model, restore
from labelemb.tasks.seq2seq.tokenizer import Tokenizer
from labelemb.tasks.seq2seq.translate import translate
from labelemb.tasks.seq2seq.vocab import PAD
from labelemb.training.checkpoint import nearest_hint
from labelemb.training.model_size import check_model_size

PREFETCH_BATCHES = 16  # lines are read this many batches at a time, then batched by length


@dataclass(frozen=True)
class TextEvaluation:
    """Evaluation of a model on parallel text.

    Attributes:
        sentences: Number of sentence pairs.
        perplexity: Perplexity of the reference words.
        scores: Metrics of the outputs by name, with their signatures.
        outputs: Output lines.
    """

    sentences: int
    perplexity: float
    scores: dict[str, Score]
    outputs: list[str]


class TrainedTranslator:
    """The model of a trained sequence-to-sequence run. No code from the run folder is executed.

    Args:
        source: Run folder, or a checkpoint in one.
        checkpoint: Checkpoint of a run folder: ``last``, ``best`` (lowest validation perplexity), or the best by a
            metric, such as ``bleu``.
        device: Device, as in ``torch.device``.

    Raises:
        DataError: If ``source`` is not a sequence-to-sequence run, or has no such checkpoint.
        ConfigError: If ``checkpoint`` is unknown.
    """

    def __init__(self, source: Path, checkpoint: str = "last", device: str = "cpu") -> None:
        self.run = open_run_folder(source if source.is_dir() else source.parent)
        if not self.run.config_file.is_file():
            raise DataError(str(source), "a run folder, or a checkpoint in one", "none", nearest_hint(source))
        self.config = read_config(self.run)
        self.tokenizer = Tokenizer.read(self.run.path)
        self.device = torch.device(device)
        check_model_size(f"{self.run.config_file}, hidden_size", lambda: build_model(self.config, self.tokenizer))
        self.model = build_model(self.config, self.tokenizer)
        restore(str(self._checkpoint_file(source, checkpoint)), self.model)
        self.model.to(self.device).eval()

    def translate(
        self,
        lines: Iterable[str],
        settings: SearchSettings | None = None,
        batch_size: int = 64,
        unk: bool | None = None,
        prefetch: int = PREFETCH_BATCHES,
    ) -> Iterator[str]:
        """Translate lines in their order; the output for an empty line is empty.

        Args:
            lines: Source lines.
            settings: Search options. Default: those of the run.
            batch_size: Sentences decoded at a time; does not change the outputs.
            unk: Whether to replace a generated unknown token by the source word with the highest attention weight.
                Default: as in the run's configuration.
            prefetch: Number of batches of lines to read before translating.

        Yields:
            One output line per source line.

        Raises:
            ConfigError: If ``batch_size`` is below 1.
        """
        check_at_least_one("batch_size", batch_size)
        settings = settings or self.config.search_settings
        replace_unk = self.config.unk if unk is None else unk
        remaining = iter(lines)
        while part := list(islice(remaining, prefetch * batch_size)):
            sentences = self.tokenizer.source(part)
            with torch.no_grad(), self._autocast():
                outputs = translate(self.model, self.tokenizer, sentences, part, settings, batch_size, replace_unk)
            yield from outputs

    @torch.no_grad()
    def evaluate(
        self,
        split: Split,
        scores: Sequence[str],
        settings: SearchSettings | None = None,
        batch_size: int = 64,
        unk: bool | None = None,
    ) -> TextEvaluation:
        """Compute perplexity and metrics of the outputs on parallel text.

        Args:
            split: Sentence pairs with their lines; see ``split`` and ``retokenize``.
            scores: Keys of ``labelemb.tasks.seq2seq.scores.SCORES``.
            settings: Search options. Default: those of the run.
            batch_size: Sentences decoded at a time.
            unk: As for ``translate``.

        Returns:
            The evaluation.
        """
        nll, words = 0.0, 0
        loss = LinearCrossEntropyLoss(PAD, impl=self.config.impl)
        for rows in batches_by_length(split.tgt.lengths, batch_size):
            batch = PairBatch.from_rows(split, rows, self.device)
            with self._autocast():
                output = loss(self.model(*batch.inputs), self.model.head, batch.targets, num_items_in_batch=1.0)
            nll, words = nll + float(output.loss), words + batch.size
        outputs = list(self.translate(split.src_lines, settings, batch_size, unk))
        values = score_all(scores, outputs, split, self.tokenizer.by_character)
        return TextEvaluation(len(split), perplexity(mean_nll(nll, words)), values, outputs)

    def split(self, pairs: Iterable[tuple[str, str]]) -> Split:
        """Tokenize pairs of lines for ``evaluate``.

        Raises:
            DataError: If there are no pairs.
        """
        lines = list(pairs)
        if not lines:
            raise DataError("text", "pairs of lines", "none")
        sources, targets = zip(*lines, strict=True)
        return Split(self.tokenizer.source(sources), self.tokenizer.target(targets), sources, targets)

    def retokenize(self, split: Split) -> Split:
        """Tokenize a validation or test split again, with the vocabularies of the model instead of the corpus."""
        return self.split(zip(split.src_lines, split.tgt_lines, strict=True))

    def _autocast(self) -> torch.autocast:
        """Return autocast with the precision of training."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        return torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    def _checkpoint_file(self, source: Path, checkpoint: str) -> Path:
        if not source.is_dir():
            return source
        files = {"last": self.run.last_checkpoint, "best": self.run.best_by("")}
        files |= {name: self.run.best_by(name) for name in self.config.score_names}
        if checkpoint not in files:
            raise ConfigError("checkpoint", " or ".join(files), repr(checkpoint))
        return files[checkpoint]


def read_config(run: RunFolder) -> Seq2SeqConfig:
    """Return the configuration of a sequence-to-sequence run. Raises DataError for other runs."""
    return replace(Seq2SeqConfig.read(run, required=("corpus",)), restore=None)
