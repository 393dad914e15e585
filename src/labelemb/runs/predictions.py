"""Predictions of a classification run on its held-out examples. N examples."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.runs.arrays import read_arrays, write_arrays


@dataclass(frozen=True)
class Predictions:
    """Predictions on a split, in the order of the data set; (N,) each.

    Attributes:
        label: True label, unsigned integers.
        predicted: Most probable label, unsigned integers.
        confidence: Probability of the predicted label, float32.
        true_probability: Probability of the true label, float32.
    """

    label: NDArray[Any]
    predicted: NDArray[Any]
    confidence: NDArray[np.float32]
    true_probability: NDArray[np.float32]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, (N,)."""
        return np.asarray(self.label == self.predicted)


def write_predictions(path: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write predictions as a compressed NumPy archive; equal predictions give equal bytes.

    Args:
        path: File to write.
        predictions: ``CHECKPOINT/SPLIT`` -> predictions, ``last/test`` for example.
    """
    named = [(name, found, field.name) for name, found in predictions.items() for field in fields(Predictions)]
    write_arrays(path, {f"{name}/{field}": getattr(found, field) for name, found, field in named})


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read what ``write_predictions`` wrote; empty when there is no such file.

    Raises:
        DataError: The file is damaged.
    """
    arrays = read_arrays(path, "predictions of a run")
    names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
    try:
        found = {
            name: Predictions(*(arrays[f"{name}/{field.name}"] for field in fields(Predictions))) for name in names
        }
    except KeyError as error:
        raise DataError(str(path), "predictions of a run", f"no array {error}") from error
    for name, predictions in found.items():
        shapes = {getattr(predictions, field.name).shape for field in fields(Predictions)}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"{path}: {name}", "four arrays of one length", shapes)
    return found
