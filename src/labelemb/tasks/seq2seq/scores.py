"""Metrics of generated text, by name."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from labelemb.metrics.bleu import Score, bleu, chrf, paper_bleu
from labelemb.metrics.rouge import Unit, rouge_by_sentence, rouge_signature
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.text_io import tokenize

# Value of the option eval_metrics -> the metric of score() that selects the best checkpoint.
SCORES = {"exact": "exact", "bleu": "bleu", "rouge": "rougeL"}


def score_all(names: Sequence[str], lines: Sequence[str], split: Split, by_character: bool) -> dict[str, Score]:
    """Compute several groups of metrics for the outputs of a split.

    Args:
        names: Keys of ``SCORES``.
        lines: Outputs, one per sentence pair of ``split``.
        split: Split with its source and target lines.
        by_character: Whether tokens are characters rather than words.

    Returns:
        Scores by name; see ``score``.
    """
    groups = (score(name, lines, split.tgt_lines, split.src_lines, by_character) for name in names)
    return {key: value for group in groups for key, value in group.items()}


def by_sentence(scores: Mapping[str, Score]) -> dict[str, NDArray[np.float64]]:
    """Return the per-sentence statistics of the scores that have them, by name."""
    return {name: score.by_sentence for name, score in scores.items() if score.by_sentence is not None}


def score(
    name: str, hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str], by_character: bool
) -> dict[str, Score]:
    """Compute one group of metrics.

    Args:
        name: Key of ``SCORES``. ``exact``: percentage of outputs equal to their reference; ``bleu``: ``bleu``
            (sacreBLEU, cased, existing tokenization), ``chrf`` and, for words, ``paper_bleu`` (see
            ``metrics.bleu.paper_bleu``); ``rouge``: ``rouge1``, ``rouge2`` and ``rougeL``.
        hypotheses: Outputs, one per sentence.
        references: Reference of each sentence.
        sources: Source line of each sentence.
        by_character: Whether tokens are characters rather than words.

    Returns:
        Scores from 0 to 100 by name, with their signatures.
    """
    count = len(references)
    match name:
        case "exact":
            pairs = zip(hypotheses, references, strict=True)
            equal = np.array(
                [tokenize(first, by_character) == tokenize(second, by_character) for first, second in pairs]
            )
            value = 100 * int(equal.sum()) / count
            return {"exact": Score(value, "nrefs:1|case:mixed|tok:none|whole lines", count, 100.0 * equal)}
        case "bleu":
            scores = {"bleu": bleu(hypotheses, references, "char" if by_character else "none")}
            paper = None if by_character else paper_bleu(hypotheses, references, sources)
            return scores | ({"paper_bleu": paper} if paper else {}) | {"chrf": chrf(hypotheses, references)}
        case "rouge":
            unit: Unit = "character" if by_character else "word"
            values = rouge_by_sentence(hypotheses, references, unit)
            signature = rouge_signature(unit)
            return {key: Score(float(each.mean()), signature, count, each) for key, each in values.items()}
        case _:
            raise AssertionError(name)
