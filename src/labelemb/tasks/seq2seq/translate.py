"""Translate sentences to text: batched beam search, detokenization, replacement of unknown words."""

from collections.abc import Sequence

from labelemb.tasks.seq2seq.batch import by_length, source_batch
from labelemb.tasks.seq2seq.decoding import Searchable
from labelemb.tasks.seq2seq.search import SearchSettings, replace_unknown, search
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
    """Return a line for each source sentence, in their order; an empty one for an empty one.

    tokenizer    has the vocabularies, and says whether tokens are characters
    sentences  source side, N of them
    lines      the N lines they were made of, to copy words from
    batch_size sentences decoded side by side; it does not change what comes out
    replace    whether an unknown word becomes the source word that has the most attention
    """
    device = model.head.weight.device
    found = [""] * len(sentences)
    lengths = sentences.lengths
    for rows in by_length(lengths, batch_size):
        rows = rows[lengths[rows] > 0]
        if not len(rows):
            continue
        source, counts = source_batch(sentences, rows, device)
        for row, hypothesis in zip(rows.tolist(), search(model, source, counts, settings), strict=True):
            tokens = tokenizer.tokenize(lines[row]) if replace else []
            found[row] = tokenizer.join(replace_unknown(hypothesis, tokens, tokenizer.tgt_vocab))
    return found
