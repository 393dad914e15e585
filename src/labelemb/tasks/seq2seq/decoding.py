"""Interface between models and beam search. B sentences, K hypotheses each, S source tokens, D hidden size."""

from typing import Protocol

from torch import Tensor, nn


class Decoding(Protocol):
    """Decoder state of B sentences with K hypotheses each, including the encoded sources.

    Each row attends only to its own sentence, so results do not depend on the rest of the batch.
    """

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Append one token to each hypothesis.

        The result equals the output of the model for whole sequences in ``eval`` mode.

        Args:
            last: The tokens, int64 `(B, K)`.

        Returns:
            Hidden states before the head, `(B, K, D)`, and attention weights, `(B, K, S)`.
        """
        ...

    def reorder(self, parents: Tensor) -> None:
        """Replace hypothesis k of sentence b by hypothesis ``parents[b, k]``.

        Args:
            parents: Hypothesis numbers, int64 `(B, K')`; ``K'`` is the new number of hypotheses.
        """
        ...

    def keep(self, sentences: Tensor) -> None:
        """Drop sentences.

        Args:
            sentences: Boolean mask `(B,)`, False for the sentences to drop.
        """
        ...


class Searchable(Protocol):
    """A model that supports beam search."""

    head: nn.Linear

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Encode the sources and start decoding with one empty hypothesis per sentence.

        Args:
            source: Padded token ids, int64 `(B, S)`.
            lengths: Tokens per sentence, int64 `(B,)`, at least 1.

        Returns:
            The decoder state.
        """
        ...
