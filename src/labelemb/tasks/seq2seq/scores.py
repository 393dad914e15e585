"""The scores of output lines by name, as the history of a run has them."""

from collections.abc import Sequence

from labelemb.metrics.bleu import Score, bleu, chrf, paper_bleu
from labelemb.metrics.rouge import Unit, rouge, rouge_signature
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.text_io import tokenize

# Score -> which of its figures chooses a checkpoint.
SCORES = {"exact": "exact", "bleu": "bleu", "rouge": "rougeL"}


def score_all(names: Sequence[str], lines: Sequence[str], split: Split, by_character: bool) -> dict[str, Score]:
    """Return the figures of several scores of the output lines for a split; see ``score``."""
    figures = (score(name, lines, split.tgt_lines, split.src_lines, by_character) for name in names)
    return {key: value for found in figures for key, value in found.items()}


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
            same = sum(tokenize(one, by_character) == tokenize(other, by_character) for one, other in pairs)
            return {"exact": Score(100 * same / count, "nrefs:1|case:mixed|tok:none|whole lines", count)}
        case "bleu":
            found = {"bleu": bleu(hypotheses, references, "char" if by_character else "none")}
            paper = None if by_character else paper_bleu(hypotheses, references, sources)
            return found | ({"paper_bleu": paper} if paper else {}) | {"chrf": chrf(hypotheses, references)}
        case "rouge":
            unit: Unit = "character" if by_character else "word"
            figures = rouge(hypotheses, references, unit)
            return {key: Score(value, rouge_signature(unit), count) for key, value in figures.items()}
        case _:
            raise AssertionError(name)
