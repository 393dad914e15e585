"""The scores of output lines by name, as the history of a run has them."""

from collections.abc import Sequence

from labelemb.metrics.bleu import bleu, chrf, paper_bleu
from labelemb.metrics.rouge import rouge

SCORES = ("exact", "bleu", "rouge")


def score(
    name: str, hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str], by_character: bool
) -> dict[str, float]:
    """Return the figures of a score, each from 0 to 100.

    name          "exact": lines that are their reference; "bleu": "bleu" (sacreBLEU, cased, all lines, tokenised as
                  they come), "paper_bleu" (see there) and "chrf"; "rouge": "rouge1", "rouge2", "rougeL"
    by_character  whether the tokens of ROUGE are characters, or words
    """
    match name:
        case "exact":
            same = sum(one.split() == other.split() for one, other in zip(hypotheses, references, strict=True))
            return {"exact": 100 * same / len(references)}
        case "bleu":
            return {
                "bleu": bleu(hypotheses, references).value,
                "paper_bleu": paper_bleu(hypotheses, references, sources).value,
                "chrf": chrf(hypotheses, references).value,
            }
        case "rouge":
            return rouge(hypotheses, references, "character" if by_character else "word")
        case _:
            raise AssertionError(name)
