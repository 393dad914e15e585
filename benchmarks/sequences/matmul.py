"""Time of the matrix products alone, at the rate of one product timed in the same run."""

import torch

from benchmarks.measure import Timing
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus


class Product:
    """The matrix product of the head for 640 rows: 64 sentences with a beam of 10."""

    def __init__(self, config: Seq2SeqConfig, corpus: Corpus) -> None:
        width, labels = config.hidden_size, len(corpus.tgt_vocab)
        self.operations = 2 * 640 * width * labels
        self.hidden, self.weight = torch.randn(640, width), torch.randn(width, labels)
        self.out = torch.empty(640, labels)

    def __call__(self) -> None:
        """Compute the product."""
        torch.mm(self.hidden, self.weight, out=self.out)

    def rate(self, timing: Timing) -> float:
        """Return operations per second."""
        return self.operations / timing.median
