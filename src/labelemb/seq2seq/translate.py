"""From sentences to lines of text: search in batches, words for numbers, unknown words replaced."""

from collections.abc import Sequence

from labelemb.seq2seq.batch import by_length, source_batch
from labelemb.seq2seq.decoding import Searchable
from labelemb.seq2seq.search import SearchSettings, replace_unknown, search
from labelemb.seq2seq.sentences import Sentences
from labelemb.seq2seq.wording import Wording


def translate(
    model: Searchable,
    wording: Wording,
    sentences: Sentences,
    lines: Sequence[str],
    settings: SearchSettings,
    batch_size: int,
    replace: bool = True,
) -> list[str]:
    """Return a line for each source sentence, in their order; an empty one for an empty one.

    wording    has the vocabularies, and says whether tokens are characters
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
            tokens = wording.cut(lines[row]) if replace else []
            found[row] = wording.join(replace_unknown(hypothesis, tokens, wording.tgt_vocab))
    return found
