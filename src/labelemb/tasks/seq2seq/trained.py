"""A trained language run put to use: lines in, lines out; scores of a text."""

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
from labelemb.tasks.seq2seq.batch import PairBatch, by_length
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.published import folder_of
from labelemb.tasks.seq2seq.scores import score_all
from labelemb.tasks.seq2seq.search import SearchSettings
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.task import build_model, restore
from labelemb.tasks.seq2seq.tokenizer import Tokenizer
from labelemb.tasks.seq2seq.translate import translate
from labelemb.tasks.seq2seq.vocab import PAD
from labelemb.training.checkpoint import nearest_hint
from labelemb.training.model_size import check_model_size

AHEAD = 16  # batches: of that many lines those of like lengths go together


@dataclass(frozen=True)
class TextEvaluation:
    """How good a model is on a text.

    sentences   how many
    perplexity  of the true words
    scores      figures of the output, with their signatures
    outputs     the lines
    """

    sentences: int
    perplexity: float
    scores: dict[str, Score]
    outputs: list[str]


class TrainedTranslator:
    """The model of a language run, ready to read.

    source      a run folder, or a checkpoint in one
    checkpoint  of a run folder: "last", "best" (lowest perplexity of the validation text) or a score, "bleu" say
    device      as torch names it

    Raises DataError for what is no language run with such a checkpoint. Nothing in the folder is executed.
    """

    def __init__(self, source: Path, checkpoint: str = "last", device: str = "cpu") -> None:
        self.run = folder_of(source if source.is_dir() else source.parent)
        if not self.run.config_file.is_file():
            raise DataError(str(source), "a run folder, or a checkpoint in one", "none", nearest_hint(source))
        self.config = read_config(self.run)
        self.tokenizer = Tokenizer.read(self.run.path)
        self.device = torch.device(device)
        check_model_size(f"{self.run.config_file}, hidden_size", lambda: build_model(self.config, self.tokenizer))
        self.model = build_model(self.config, self.tokenizer)
        restore(str(self._file(source, checkpoint)), self.model)
        self.model.to(self.device).eval()

    def translate(
        self,
        lines: Iterable[str],
        settings: SearchSettings | None = None,
        batch_size: int = 64,
        unk: bool | None = None,
        ahead: int = AHEAD,
    ) -> Iterator[str]:
        """Yield a line for each line, in their order; an empty one for an empty one.

        settings    of the search; None: those that the run was tested with
        batch_size  sentences side by side; it does not change what comes out
        unk         whether an unknown word becomes the source word with the most attention; None: as the run has it
        ahead       batches of lines that are read before any is translated

        Raises ConfigError for batch_size < 1.
        """
        check_at_least_one("batch_size", batch_size)
        settings = settings or self.config.search_settings
        replaced = self.config.unk if unk is None else unk
        rest = iter(lines)
        while part := list(islice(rest, ahead * batch_size)):
            sentences = self.tokenizer.source(part)
            with torch.no_grad(), self._autocast():
                found = translate(self.model, self.tokenizer, sentences, part, settings, batch_size, replaced)
            yield from found

    @torch.no_grad()
    def evaluate(
        self,
        split: Split,
        scores: Sequence[str],
        settings: SearchSettings | None = None,
        batch_size: int = 64,
        unk: bool | None = None,
    ) -> TextEvaluation:
        """Score the outputs for the sources of a split, which has its lines, and the true words; see ``translate``."""
        nll, words = 0.0, 0
        loss = LinearCrossEntropyLoss(PAD, impl=self.config.impl)
        for rows in by_length(split.tgt.lengths, batch_size):
            batch = PairBatch.of(split, rows, self.device)
            with self._autocast():
                output = loss(self.model(*batch.inputs), self.model.head, batch.targets, num_items_in_batch=1.0)
            nll, words = nll + float(output.loss), words + batch.size
        outputs = list(self.translate(split.src_lines, settings, batch_size, unk))
        found = score_all(scores, outputs, split, self.tokenizer.by_character)
        return TextEvaluation(len(split), perplexity(mean_nll(nll, words)), found, outputs)

    def split(self, pairs: Iterable[tuple[str, str]]) -> Split:
        """Return pairs of lines as ``evaluate`` wants them. Raises DataError for none."""
        lines = list(pairs)
        if not lines:
            raise DataError("text", "pairs of lines", "none")
        sources, targets = zip(*lines, strict=True)
        return Split(self.tokenizer.source(sources), self.tokenizer.target(targets), sources, targets)

    def reread(self, split: Split) -> Split:
        """Return a held-out split of a corpus, its lines numbered by the model's words and not by the corpus's."""
        return self.split(zip(split.src_lines, split.tgt_lines, strict=True))

    def _autocast(self) -> torch.autocast:
        """Return the precision that it was trained in."""
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        return torch.autocast(self.device.type, dtype=kind or torch.bfloat16, enabled=kind is not None)

    def _file(self, source: Path, checkpoint: str) -> Path:
        if not source.is_dir():
            return source
        known = {"last": self.run.last_checkpoint, "best": self.run.best_by("")}
        known |= {name: self.run.best_by(name) for name in self.config.score_names}
        if checkpoint not in known:
            raise ConfigError("checkpoint", " or ".join(known), repr(checkpoint))
        return known[checkpoint]


def read_config(run: RunFolder) -> Seq2SeqConfig:
    """Return the config of a language run. Raises DataError for another run."""
    return replace(Seq2SeqConfig.read(run, required=("corpus",)), restore=None)
