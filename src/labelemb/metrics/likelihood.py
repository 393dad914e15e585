"""What a model gives to the true next token, softened targets aside."""

import math

from labelemb.errors import DataError


def mean_nll(total: float, count: int) -> float:
    """Return the negative log-likelihood per token, in nats; total: its sum over ``count`` tokens.

    Raises DataError for no tokens.
    """
    if count < 1:
        raise DataError("count", "at least one token", count)
    return total / count


def perplexity(nll: float) -> float:
    """Return e to the mean negative log-likelihood; infinity where that is more than a float holds."""
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf
