"""Translate sentences to text: batched beam search, detokenization, replacement of unknown words."""

from collections.abc import Sequence

from labelemb.tasks.seq2seq.batch import batches_by_length, source_batch
from labelemb.tasks.seq2seq.decoding import Searchable
from labelemb.tasks.seq2seq.hypothesis import SearchSettings, replace_unknown
from labelemb.tasks.seq2seq.search import search
from labelemb.tasks.seq2seq.sentences import Sentences
from labelemb.tasks.seq2seq.tokenizer import Tokenizer


def translate(
    model: Searchable,
    tokenizer: Tokenizer,
    sentences: Sentences,
    lines: Sequence[str],
    settings: SearchSettings,
    batch_size: int,
    replace: bool = True,
) -> list[str]:
    """Translate N sentences; the output for an empty sentence is empty.

    Args:
        model: Model in ``eval`` mode.
        tokenizer: Tokenizer of the model.
        sentences: Tokenized source sentences.
        lines: Source lines of ``sentences``.
        settings: Search options.
        batch_size: Sentences decoded at a time; does not change the outputs.
        replace: Whether to replace a generated unknown token by the source word with the highest attention weight.

    Returns:
        N output lines.
    """
    device = model.head.weight.device
    outputs = [""] * len(sentences)
    lengths = sentences.lengths
    for rows in batches_by_length(lengths, batch_size):
        rows = rows[lengths[rows] > 0]
        if not len(rows):
            continue
        source, counts = source_batch(sentences, rows, device)
        for row, hypothesis in zip(rows.tolist(), search(model, source, counts, settings), strict=True):
            tokens = tokenizer.tokenize(lines[row]) if replace else []
            outputs[row] = tokenizer.join(replace_unknown(hypothesis, tokens, tokenizer.tgt_vocab))
    return outputs
