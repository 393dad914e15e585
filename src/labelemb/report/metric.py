"""Metrics that runs are compared by: name, unit, and which direction is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric of the history lines, where it is called ``test_KEY`` and ``valid_KEY``.

    Attributes:
        key: Key in the history, without the split.
        name: Name in tables and figures.
        unit: ``"%"``, or ``""`` for none.
        lower: Whether lower is better.
        digits: Decimal places.
        definition: One phrase that explains it, for the legend of a table.
    """

    key: str
    name: str
    unit: str = ""
    lower: bool = True
    digits: int = 2
    definition: str = ""

    @property
    def title(self) -> str:
        """Return the column header."""
        return f"{self.name} %" if self.unit == "%" else self.name

    def format(self, value: float) -> str:
        """Return a value as text, without its unit."""
        return f"{value:.{self.digits}f}"


ERROR = Metric("error", "error", "%", definition="percentage of wrong predictions")
WORD_ERROR = Metric("error", "word error", "%", definition="wrong next words, given the true previous ones")
BLEU = Metric("bleu", "BLEU", lower=False, definition="all sentences, cased")
ROUGE_L = Metric("rougeL", "ROUGE-L", lower=False, definition="F1 of the longest common subsequence")
EXACT = Metric("exact", "exact", "%", lower=False, definition="outputs equal to the reference")
METRICS = (
    ERROR,
    Metric("nll", "NLL", digits=3, definition="negative log-likelihood of the true label, nats"),
    Metric("ece", "ECE", "%", definition="expected calibration error, 15 bins of equal width"),
    Metric("adaptive_ece", "adaptive ECE", "%", definition="calibration error, 15 bins of equally many examples"),
    Metric(
        "brier", "Brier", digits=3, definition="squared distance of the probabilities from the one-hot label, 0 to 2"
    ),
)
SEVERITY_METRICS = (
    Metric("aurc", "AURC", "%", definition="area under the risk-coverage curve: mean error among the most confident"),
    Metric("accuracy_at_80", "accuracy at 80 % coverage", "", False, definition="of the most confident 80 %, percent"),
    Metric(
        "errors_in_group", "errors in group", "%", False, definition="errors whose prediction is of the right group"
    ),
    Metric(
        "hierarchical_distance", "distance", digits=3, definition="mean over all: 0 right, 1 in the group, 2 outside"
    ),
)
TEXT_METRICS = (
    BLEU,
    Metric("paper_bleu", "paper BLEU", lower=False, definition="lower-cased, sentences of at most 50 tokens"),
    Metric("chrf", "chrF", lower=False, definition="F-score of character n-grams"),
    Metric("rouge1", "ROUGE-1", lower=False, definition="F1 of unigrams"),
    Metric("rouge2", "ROUGE-2", lower=False, definition="F1 of bigrams"),
    ROUGE_L,
    EXACT,
    Metric("perplexity", "perplexity", definition="exponential of the negative log-likelihood per token"),
    WORD_ERROR,
)
_CLASSIFICATION = METRICS + SEVERITY_METRICS
METRICS_OF = {"vision": _CLASSIFICATION, "text": _CLASSIFICATION, "seq2seq": TEXT_METRICS}
PRIMARY_TEXT_METRICS = (BLEU, ROUGE_L, EXACT)  # a text task is compared by the first that its runs have
