"""Matching of label names between a model and a data set."""

from collections.abc import Sequence

import torch
from torch import Tensor

from labelemb.errors import DataError, nearest


def match_labels(names: Sequence[str], model_names: Sequence[str], source: str) -> Tensor:
    """Map the labels of a data set to those of a model, by name.

    Args:
        names: Label names of the data set.
        model_names: Label names of the model.
        source: Name of the data set, for the error message.

    Returns:
        int64 ``(len(names),)``, the model's index of each name.

    Raises:
        DataError: If the model lacks one of the labels.
    """
    known = {name: index for index, name in enumerate(model_names)}
    if missing := [name for name in names if name not in known]:
        raise DataError(
            source, f"labels of the model ({', '.join(known)})", ", ".join(missing), nearest(missing[0], known)
        )
    return torch.tensor([known[name] for name in names], dtype=torch.int64)
