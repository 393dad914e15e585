"""The scores of output lines by name, as the history of a run has them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from labelemb.metrics.bleu import Score, bleu, chrf, paper_bleu
from labelemb.metrics.rouge import Unit, rouge_by_sentence, rouge_signature
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.text_io import tokenize

# Score -> which of its figures chooses a checkpoint.
SCORES = {"exact": "exact", "bleu": "bleu", "rouge": "rougeL"}


def score_all(names: Sequence[str], lines: Sequence[str], split: Split, by_character: bool) -> dict[str, Score]:
    """Return the figures of several scores of the output lines for a split; see ``score``."""
    figures = (score(name, lines, split.tgt_lines, split.src_lines, by_character) for name in names)
    return {key: value for found in figures for key, value in found.items()}


def by_sentence(scores: Mapping[str, Score]) -> dict[str, NDArray[np.float64]]:
    """Return the statistics of the sentences of each score that has them."""
    return {name: one.by_sentence for name, one in scores.items() if one.by_sentence is not None}


def score(
    name: str, hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str], by_character: bool
) -> dict[str, Score]:
    """Return the figures of a score, each from 0 to 100, with their signatures.

    name          "exact": lines that are their reference, token for token; "bleu": "bleu" (sacreBLEU, cased, all lines,
                  tokenised as they come), "paper_bleu" (see there; of words, and where a pair is short enough) and
                  "chrf"; "rouge": "rouge1", "rouge2", "rougeL"
    by_character  whether tokens are characters, or words
    """
    count = len(references)
    match name:
        case "exact":
            pairs = zip(hypotheses, references, strict=True)
            same = np.array([tokenize(one, by_character) == tokenize(other, by_character) for one, other in pairs])
            value = 100 * int(same.sum()) / count
            return {"exact": Score(value, "nrefs:1|case:mixed|tok:none|whole lines", count, 100.0 * same)}
        case "bleu":
            scores = {"bleu": bleu(hypotheses, references, "char" if by_character else "none")}
            paper = None if by_character else paper_bleu(hypotheses, references, sources)
            return scores | ({"paper_bleu": paper} if paper else {}) | {"chrf": chrf(hypotheses, references)}
        case "rouge":
            unit: Unit = "character" if by_character else "word"
            found = rouge_by_sentence(hypotheses, references, unit)
            signature = rouge_signature(unit)
            return {key: Score(float(each.mean()), signature, count, each) for key, each in found.items()}
        case _:
            raise AssertionError(name)
