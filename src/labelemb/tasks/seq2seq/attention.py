"""Global attention of the published program. B sentences, S source tokens, T target tokens, D hidden size."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError

QueryActivation = Literal["none", "tanh"]


class GlobalAttention(nn.Module):
    """Look back at the source once per target token, all target tokens at once.

    score = memory . act(W_in h);  output = tanh(W_out [context; h]), context = sum of softmax(score) * memory.
    Source: arXiv 1710.10393 as published, after Luong et al. 2015 ("general"); but nothing looks at padding here.

    hidden_size       D
    query_activation  act: "none", or "tanh" as for LCSTS

    Raises ConfigError.
    """

    def __init__(self, hidden_size: int, query_activation: QueryActivation = "none") -> None:
        super().__init__()
        if query_activation not in get_args(QueryActivation):
            raise ConfigError("query_activation", " or ".join(get_args(QueryActivation)), repr(query_activation))
        self.query_activation = query_activation
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return output (B, T, D) and weights (B, T, S), whose rows sum to 1.

        hidden  (B, T, D) decoder states
        memory  (B, S, D) encoder states
        mask    (B, S) bool, True where a source token is; at least one per sentence
        """
        weights = self._weights(self._query(hidden), memory, mask)
        context = weights @ memory  # (B, T, D)
        output: Tensor = self.output(torch.cat([context, hidden], dim=2)).tanh()
        return output, weights

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``look`` wants of the memory: keys and values (B, S, D).

        W_in and the part of W_out that meets the context act on the memory once, not on every token of a search.
        """
        keys = memory @ self.query.weight if self.query_activation == "none" else memory
        return keys, F.linear(memory, self._output_parts()[0])

    def look(self, hidden: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``forward`` returns, from what ``remember`` made of the memory."""
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
