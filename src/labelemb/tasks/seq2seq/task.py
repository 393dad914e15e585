"""Sequence-to-sequence learning as a training task."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from labelemb.errors import DataError
from labelemb.losses.base import Loss
from labelemb.losses.cross_entropy import LinearCrossEntropyLoss
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.method import LossContext
from labelemb.methods import build_loss
from labelemb.metrics.bleu import Score
from labelemb.metrics.classification import error_percent
from labelemb.metrics.likelihood import mean_nll, perplexity
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq.batch import BatchPlan, PairBatch, batches_by_length
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.decoding import Searchable
from labelemb.tasks.seq2seq.hypothesis import SearchSettings
from labelemb.tasks.seq2seq.model import EncoderDecoder, LSTMSeq2Seq, VocabSizes
from labelemb.tasks.seq2seq.scores import by_sentence, score_all
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.tokenizer import Tokenizer
from labelemb.tasks.seq2seq.transformer import TransformerSeq2Seq
from labelemb.tasks.seq2seq.translate import translate
from labelemb.tasks.seq2seq.vocab import PAD
from labelemb.terms.embedding import CompressedLabelEmbedding
from labelemb.terms.reduction import world_size
from labelemb.training.checkpoint import load_checkpoint, load_weights, nearest_hint
from labelemb.training.seeding import drawing_from, stream_seed
from labelemb.training.task import Shard


class Seq2SeqTask:
    """A model, a loss and a corpus; implements ``labelemb.training.task.Task``.

    Args:
        config: Configuration of the run.
        corpus: The corpus.

    Raises:
        ConfigError: If options do not fit each other or the corpus.
        DataError: If the checkpoint to restore, or a file that the method reads, cannot be used.
    """

    unit = "words"
    ignore_index = PAD

    def __init__(self, config: Seq2SeqConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus
        train = corpus.splits["train"].first(config.limit)
        self._plan = BatchPlan(train.src.lengths, train.tgt.lengths, config.batch_size, config.batch_type, config.seed)
        self.steps_per_epoch = len(self._plan)
        with drawing_from(config.seed, "model"):
            self.model: nn.Module = build_model(config, corpus.tokenizer)
        with drawing_from(config.seed, "loss"):
            self.loss: Loss = make_loss(config, corpus, self.steps_per_epoch)
        if config.restore:
            restore(config.restore, self.model, self.loss)
        self._nll = LinearCrossEntropyLoss(PAD, impl=config.impl)
        self._outputs: dict[str, tuple[list[str], dict[str, Score]]] = {}  # of the last evaluation, by split

    def setup(self, device: torch.device) -> None:
        """Set the device; batches are copied to it one by one, since the corpus is memory-mapped."""
        self._device = device

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[list[PairBatch]]:
        """Yield the batches of an epoch from step ``start`` on; their order depends on the seed and the epoch only."""
        train = self.corpus.splits["train"]
        for rows in self._plan.epoch(epoch)[start:]:
            pieces = shard.pieces(torch.from_numpy(rows))
            yield [PairBatch.from_rows(train, piece.numpy(), self._device) for piece in pieces]

    def evaluate(
        self, model: nn.Module, shard: Shard, total: Callable[[Tensor], Tensor], last: bool = True
    ) -> Mapping[str, float]:
        """Evaluate the validation split and, in the last evaluation of a run, the test split.

        Perplexity is that of the reference words, whatever soft targets the loss uses. Every process decodes all
        sentences, since BLEU of the whole text is not a sum over parts.

        Args:
            model: The model.
            shard: Part of the sentences for which this process computes the likelihood.
            total: All-reduces a tensor.
            last: Whether this is the last evaluation of the run.

        Returns:
            Loss, perplexity, token error in per cent, and text metrics, with the prefix ``valid_`` or ``test_``.
        """
        metrics: dict[str, float] = {}
        for name, split in self.corpus.splits.items():
            if name == "valid" or (name == "test" and last):
                settings = self.config.search_settings
                settings = replace(settings, beam_size=1) if name == "valid" else settings
                scores = self._scores(model, name, settings)
                values = self._likelihood(model, split, shard, total)
                values |= {key: score.value for key, score in scores.items()}
                metrics |= {f"{name}_{key}": value for key, value in values.items()}
        return metrics

    def save_artifacts(self, run: RunFolder) -> None:
        """Write the label embedding, the tokenizer, and the outputs of the last evaluation with their scores."""
        for name, (lines, scores) in self._outputs.items():
            run.write_output(name, lines, {key: score.facts() for key, score in scores.items()})
        run.write_sentences({name: by_sentence(scores) for name, (_, scores) in self._outputs.items()})
        if not run.data_file.is_file():
            self.corpus.tokenizer.write(run.path)
        if isinstance(self.loss, LabelEmbeddingLoss):
            self.loss.embedding.save(run.labels_file, self.corpus.tgt_vocab.words)

    def _likelihood(
        self, model: nn.Module, split: Split, shard: Shard, total: Callable[[Tensor], Tensor]
    ) -> dict[str, float]:
        """Return loss, perplexity and token error of the reference translations under teacher forcing."""
        sums = torch.zeros(4, dtype=torch.float64, device=self._device)  # loss, NLL, correct words, words
        for rows in batches_by_length(split.tgt.lengths, self.config.eval_batch_size):
            batch = PairBatch.from_rows(split, rows[shard.index :: shard.count], self._device)
            hidden = model(*batch.inputs)
            nll = self._nll(hidden, model.head, batch.targets, num_items_in_batch=1.0)
            objective = self.loss(hidden, model.head, batch.targets, num_items_in_batch=1.0)
            parts = (objective.loss / world_size(), nll.loss / world_size(), nll.correct, nll.count)
            sums += torch.stack([part.double() for part in parts])
        loss_sum, nll_sum, correct, count = total(sums)
        words = int(count)
        return {
            "loss": mean_nll(float(loss_sum), words),
            "perplexity": perplexity(mean_nll(float(nll_sum), words)),
            "error": error_percent(correct, words),
        }

    def _scores(self, model: nn.Module, name: str, settings: SearchSettings) -> dict[str, Score]:
        """Translate a split and score the outputs; both are kept for ``save_artifacts``."""
        config, tokenizer, split = self.config, self.corpus.tokenizer, self.corpus.splits[name]
        size = config.eval_batch_size
        lines = translate(cast(Searchable, model), tokenizer, split.src, split.src_lines, settings, size, config.unk)
        scores = score_all(config.score_names, lines, split, tokenizer.by_character)
        self._outputs[name] = lines, scores
        return scores


def build_model(config: Seq2SeqConfig, tokenizer: Tokenizer) -> EncoderDecoder:
    """Return the configured model with new weights for the vocabularies of ``tokenizer``."""
    vocab_sizes = VocabSizes(len(tokenizer.src_vocab), len(tokenizer.tgt_vocab), tokenizer.shared)
    if config.model == "transformer":
        return TransformerSeq2Seq(vocab_sizes, config.sizes, config.heads, config.feedforward)
    return LSTMSeq2Seq(vocab_sizes, config.sizes, config.query_activation)


def restore(file: str, model: nn.Module, loss: nn.Module | None = None) -> None:
    """Load the weights of a checkpoint into a model and a loss.

    Args:
        file: The checkpoint.
        model: The model.
        loss: The loss; it keeps its initial state if the checkpoint is of another method.

    Raises:
        DataError: If the file is not a checkpoint of this model.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise DataError("restore", "a checkpoint", f"no such file: {path}", nearest_hint(path))
    content = load_checkpoint(path)
    load_weights(model, content, "model", path)
    saved = content.get("loss")
    if loss is not None and isinstance(saved, dict) and loss.state_dict().keys() == saved.keys():
        load_weights(loss, content, "loss", path)


def make_loss(config: Seq2SeqConfig, corpus: Corpus, steps_per_epoch: int) -> Loss:
    """Return the loss of the configured method, with a compressed label embedding where it has one.

    Args:
        config: Configuration of the run.
        corpus: The corpus, which gives the target vocabulary.
        steps_per_epoch: Optimizer steps per epoch.

    Returns:
        The loss.

    Raises:
        ConfigError: If the method's options do not fit the objective.
        DataError: If a file that the method reads cannot be used.
    """
    words, rank = corpus.tgt_vocab.words, config.rank or config.hidden_size
    context = LossContext(
        hidden_size=config.hidden_size,
        label_names=words,
        num_samples=None,
        epochs=config.epochs,
        steps=config.epochs * steps_per_epoch,
        objective=config.objective,
        impl=config.impl,
        ignore_index=PAD,
        make_embedding=lambda: CompressedLabelEmbedding(len(words), rank),
        seed=stream_seed(config.seed, "method"),
    )
    return build_loss(config.method, config.method_options, context)
