"""The figures that a run is judged by: what each is called, its unit, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A figure of the history lines; ``test_`` and the key is its name there.

    name    what a reader calls it; unit: "%", or "" for none
    lower   whether less is better
    digits  behind the point
    """

    key: str
    name: str
    unit: str = ""
    lower: bool = True
    digits: int = 2

    @property
    def title(self) -> str:
        """Return the head of a column."""
        return f"{self.name} %" if self.unit == "%" else self.name

    def shown(self, value: float) -> str:
        """Write a value without its unit."""
        return f"{value:.{self.digits}f}"


ERROR = Measure("error", "error", "%")
WORD_ERROR = Measure("error", "word error", "%")  # of the next word, given the true ones before it
BLEU = Measure("bleu", "BLEU", lower=False)
ROUGE_L = Measure("rougeL", "ROUGE-L", lower=False)
EXACT = Measure("exact", "exact", "%", lower=False)
MEASURES = (
    ERROR,
    Measure("nll", "NLL", digits=3),
    Measure("ece", "ECE", "%"),
    Measure("adaptive_ece", "adaptive ECE", "%"),
    Measure("brier", "Brier", digits=3),
)
TEXT_MEASURES = (
    BLEU,
    Measure("paper_bleu", "paper BLEU", lower=False),
    Measure("chrf", "chrF", lower=False),
    Measure("rouge1", "ROUGE-1", lower=False),
    Measure("rouge2", "ROUGE-2", lower=False),
    ROUGE_L,
    EXACT,
    Measure("perplexity", "perplexity"),
    WORD_ERROR,
)
MEASURES_OF = {"vision": MEASURES, "seq2seq": TEXT_MEASURES}
TEXT_HEADS = (BLEU, ROUGE_L, EXACT)  # what a language task is judged by: the first that its runs have
