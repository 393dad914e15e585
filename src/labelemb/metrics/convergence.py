"""Speed of convergence."""

from collections.abc import Iterable


def epochs_until(curve: Iterable[tuple[float, float]], error: float) -> float | None:
    """Return the first epoch at which an error curve is at or below ``error``, None when it never is.

    Args:
        curve: ``(epoch, error)`` of every evaluation, in order.
        error: Error to reach.

    Example:
        >>> epochs_until([(1, 30.0), (2, 12.0), (3, 13.0)], 12.5)
        2
    """
    return next((epoch for epoch, value in curve if value <= error), None)
