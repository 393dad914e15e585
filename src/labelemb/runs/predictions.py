"""Predictions of a classification run on its held-out examples. N examples."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelemb.array_files import read_arrays, write_arrays
from labelemb.errors import DataError
from labelemb.metrics.calibration import RowScores

TOP = 5  # most probable labels that are kept of each example


@dataclass(frozen=True)
class Predictions:
    """Predictions on a split, in the order of the data set; (N,) each.

    Attributes:
        label: True label, unsigned integers.
        predicted: Most probable label, unsigned integers.
        confidence: Probability of the predicted label, float32.
        true_probability: Probability of the true label, float32.
        top: The most probable labels, most probable first, unsigned integers, (N, K); None: not recorded.
        top_probability: Their probabilities, float32, (N, K).
    """

    label: NDArray[Any]
    predicted: NDArray[Any]
    confidence: NDArray[np.float32]
    true_probability: NDArray[np.float32]
    top: NDArray[Any] | None = None
    top_probability: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, scores: RowScores, labels: Tensor, top: Tensor, top_probability: Tensor) -> "Predictions":
        """Return the predictions behind the scores of N examples.

        Args:
            scores: Scores of the examples.
            labels: True labels, int64, (N,).
            top: The K most probable labels, int64, (N, K).
            top_probability: Their probabilities, (N, K).
        """
        return cls(
            label=labels.cpu().numpy(),
            predicted=scores.predicted.long().cpu().numpy(),
            confidence=scores.confidence.float().cpu().numpy(),
            true_probability=torch.exp(-scores.nll).float().cpu().numpy(),
            top=top.cpu().numpy(),
            top_probability=top_probability.float().cpu().numpy(),
        )

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
    arrays = {f"{name}/{field}": getattr(found, field) for name, found, field in named}
    write_arrays(path, {name: values for name, values in arrays.items() if values is not None})


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read what ``write_predictions`` wrote; empty when there is no such file.

    Raises:
        DataError: The file is damaged.
    """
    if not path.is_file():
        return {}
    arrays = read_arrays(path, "predictions of a run")
    names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
    try:
        found = {
            name: Predictions(
                *(arrays[f"{name}/{field.name}"] for field in fields(Predictions) if field.default is not None),
                *(arrays.get(f"{name}/{field.name}") for field in fields(Predictions) if field.default is None),
            )
            for name in names
        }
    except KeyError as error:
        raise DataError(str(path), "predictions of a run", f"no array {error}") from error
    for name, predictions in found.items():
        one_per_row = [field.name for field in fields(Predictions) if field.default is not None]
        shapes = {getattr(predictions, field).shape for field in one_per_row}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"{path}: {name}", "four arrays of one length", shapes)
        kinds = "".join(getattr(predictions, field).dtype.kind for field in one_per_row)
        if kinds != "uuff":
            raise DataError(f"{path}: {name}", "two arrays of unsigned integers and two of floats", kinds)
        top = [None if values is None else values.shape for values in (predictions.top, predictions.top_probability)]
        if top[0] != top[1] or (top[0] is not None and (len(top[0]) != 2 or top[0][:1] != predictions.label.shape)):
            raise DataError(f"{path}: {name}", "as many top labels as probabilities for each example", top)
    return found
