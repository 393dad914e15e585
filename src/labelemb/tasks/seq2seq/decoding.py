"""What a search asks of a model. B sentences, K beginnings of an output each, S source tokens, D hidden size."""

from typing import Protocol

from torch import Tensor, nn


class Decoding(Protocol):
    """Outputs of B sentences at work, K beginnings each: what the decoder remembers of them, and their sources.

    A row sees its own sentence alone, so that nothing depends on what is decoded beside it.
    """

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Add the last tokens (B, K); return hidden (B, K, D) in front of the head, and attention (B, K, S).

        Token by token this is what the model gives for whole outputs in ``eval`` mode.
        """
        ...

    def reorder(self, parents: Tensor) -> None:
        """Let beginning k of sentence b go on from what was its beginning parents[b, k]; parents int64 (B, new K)."""
        ...

    def keep(self, sentences: Tensor) -> None:
        """Forget the sentences where the mask (B,) is False."""
        ...


class Searchable(Protocol):
    """A model that ``search`` can use."""

    head: nn.Linear

    def start(self, source: Tensor, lengths: Tensor) -> Decoding:
        """Read the sources, (B, S) int64, padded, with lengths (B,) >= 1; one empty beginning each."""
        ...
