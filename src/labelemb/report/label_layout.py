"""Distances between labels and a two-dimensional map of them. K labels."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SMALLEST = 1e-9  # lower bound of a probability, so that its logarithm is finite


def label_distances(soft_labels: Array) -> Array:
    """Return -ln of the mean probability that two soft labels give to each other's label.

    Whole rows are not compared: most of each row lies on its own label, which makes all rows equally far apart.

    Args:
        soft_labels: Row y is the soft label of y, (K, K).

    Returns:
        Symmetric distances with zeros on the diagonal, (K, K).
    """
    distances: Array = -np.log(np.maximum((soft_labels + soft_labels.T) / 2, _SMALLEST))
    distances = np.maximum(distances, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def stress_map(distances: Array, iterations: int = 300) -> Array:
    """Return coordinates by stress majorization (SMACOF), started from classical scaling.

    Source: de Leeuw 1977, "Applications of convex analysis to multidimensional scaling".

    Args:
        distances: Symmetric, (K, K).
        iterations: Number of majorization steps.

    Returns:
        Coordinates, (K, 2), centered and scaled to [-1, 1]. Signs are fixed: equal distances give the same map.
    """
    size = len(distances)
    center = np.eye(size) - 1 / size
    values, vectors = np.linalg.eigh(-center @ distances**2 @ center / 2)
    largest = [-1, -2] if size > 1 else [-1, -1]
    points: Array = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 1e-9))
    for _ in range(iterations):
        current = np.linalg.norm(points[:, None] - points[None], axis=2)
        ratio = -distances / np.maximum(current, 1e-9)
        np.fill_diagonal(ratio, 0.0)
        np.fill_diagonal(ratio, -ratio.sum(axis=1))
        points = ratio @ points / size
    points -= points.mean(axis=0)
    leading = np.abs(points).argmax(axis=0)
    points *= np.where(points[leading, [0, 1]] < 0, -1.0, 1.0)
    scaled: Array = points / max(float(np.abs(points).max()), 1e-9)
    return scaled
