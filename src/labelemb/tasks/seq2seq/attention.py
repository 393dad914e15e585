"""Global attention of the published implementation. B sentences, S source tokens, T target tokens, D hidden size."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError

QueryActivation = Literal["none", "tanh"]


class GlobalAttention(nn.Module):
    """Global attention over the source, computed for all target positions at once.

    score = memory . act(W_in h);  output = tanh(W_out [context; h]), context = sum of softmax(score) * memory.
    Source: arXiv 1710.10393 as published, after Luong et al. 2015 ("general"); here padding is masked.

    Args:
        hidden_size: Hidden size D.
        query_activation: Activation ``act`` of the query: "none", or "tanh" as used for LCSTS.

    Raises:
        ConfigError: If ``query_activation`` is unknown.
    """

    def __init__(self, hidden_size: int, query_activation: QueryActivation = "none") -> None:
        super().__init__()
        if query_activation not in get_args(QueryActivation):
            raise ConfigError("query_activation", " or ".join(get_args(QueryActivation)), repr(query_activation))
        self.query_activation = query_activation
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the encoder states.

        Args:
            hidden: Decoder states, `(B, T, D)`.
            memory: Encoder states, `(B, S, D)`.
            mask: Boolean mask `(B, S)`, True at source tokens; at least one per sentence.

        Returns:
            Output `(B, T, D)` and attention weights `(B, T, S)`, which sum to 1 over S.
        """
        weights = self._weights(self._query(hidden), memory, mask)
        context = weights @ memory  # (B, T, D)
        output: Tensor = self.output(torch.cat([context, hidden], dim=2)).tanh()
        return output, weights

    def precompute(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Compute keys and values once per source sentence, for step-by-step decoding.

        W_in and the context part of W_out are applied to the memory once instead of at every decoding step.

        Args:
            memory: Encoder states, `(B, S, D)`.

        Returns:
            Keys and values, `(B, S, D)` each, for ``forward_precomputed``.
        """
        keys = memory @ self.query.weight if self.query_activation == "none" else memory
        return keys, F.linear(memory, self._output_parts()[0])

    def forward_precomputed(self, hidden: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the same result as ``forward`` from the keys and values of ``precompute``."""
        weights = self._weights(hidden if self.query_activation == "none" else self._query(hidden), keys, mask)
        return (weights @ values + F.linear(hidden, self._output_parts()[1])).tanh(), weights

    def _query(self, hidden: Tensor) -> Tensor:
        query: Tensor = self.query(hidden)
        return query.tanh() if self.query_activation == "tanh" else query

    def _weights(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        scores = query @ keys.transpose(1, 2)  # (B, T, S)
        return scores.masked_fill(~mask[:, None, :], -torch.inf).softmax(dim=2)

    def _output_parts(self) -> tuple[Tensor, Tensor]:
        context, hidden = self.output.weight.chunk(2, dim=1)
        return context, hidden
