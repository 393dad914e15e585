"""Likelihood of the true next token, which is comparable between losses with different targets."""

import math

from labelemb.errors import DataError


def mean_nll(total: float, count: int) -> float:
    """Return the negative log-likelihood per token in nats.

    Args:
        total: Sum over the tokens.
        count: Number of tokens.

    Raises:
        DataError: There are no tokens.
    """
    if count < 1:
        raise DataError("count", "at least one token", count)
    return total / count


def perplexity(nll: float) -> float:
    """Return exp(nll) of a mean negative log-likelihood; infinity where a float overflows."""
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf
