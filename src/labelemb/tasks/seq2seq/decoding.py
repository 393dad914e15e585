"""Interface between models and beam search. B sentences, K hypotheses each, S source tokens, D hidden size."""

from typing import Protocol

from torch import Tensor, nn


class Decoding(Protocol):
    """Decoder state of B sentences with K hypotheses each, including the encoded sources.

    Each row attends only to its own sentence, so results do not depend on the rest of the batch.
    """

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Append tokens (B, K); return hidden states (B, K, D) before the head and attention weights (B, K, S).

        Equals the output of the model for whole sequences in ``eval`` mode.
        """
        ...

    def reorder(self, parents: Tensor) -> None:
        """Replace hypothesis k of sentence b by hypothesis parents[b, k]; parents is int64 (B, new K)."""
        ...

    def keep(self, sentences: Tensor) -> None:
        """Drop the sentences where the mask (B,) is False."""
        ...


class Searchable(Protocol):
    """A model that supports beam search."""

    head: nn.Linear

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Encode padded sources, int64 (B, S), with lengths (B,) >= 1; start one empty hypothesis per sentence."""
        ...
