"""Most similar labels: the largest entries of a soft label. V labels."""

import difflib
from collections.abc import Collection, Sequence

import torch

from labelemb.errors import DataError, check_at_least_one
from labelemb.terms.embedding import LabelEmbedding


def similar(
    embedding: LabelEmbedding, label: str | int, top: int = 5, without: Collection[str] = ()
) -> list[tuple[str, float]]:
    """Return the largest entries of softmax(E[label]), the label's own left out. Computes a single row of E.

    Args:
        embedding: A label embedding of V labels.
        label: Name of the label; its index as an int, or as a string where the embedding has no names.
        top: Number of entries.
        without: Names that are left out, special tokens for example.

    Returns:
        Names and probabilities, the largest first.

    Raises:
        DataError: There is no such label (with close matches).
        ConfigError: ``top`` is less than 1.
    """
    check_at_least_one("top", top)
    index = label_index(embedding, label)
    with torch.no_grad():
        logits = embedding.rows(torch.tensor([index], device=next(embedding.parameters()).device))[0]
        probabilities = torch.softmax(logits.float(), dim=-1)
    probabilities[index] = -1.0
    names = names_of(embedding)
    values, labels = probabilities.topk(min(top + len(without), embedding.num_labels - 1))
    found = ((names[other], value) for other, value in zip(labels.tolist(), values.tolist(), strict=True))
    return [(name, value) for name, value in found if name not in without][:top]


def names_of(embedding: LabelEmbedding) -> list[str]:
    """Return the label names, or the indices as text where there are none."""
    return embedding.label_names or [str(index) for index in range(embedding.num_labels)]


def label_index(embedding: LabelEmbedding, label: str | int) -> int:
    """Return the index of a label given by name or index. Raises DataError with close matches."""
    if isinstance(label, int):
        if 0 <= label < embedding.num_labels:
            return label
        raise DataError("label", f"an index in [0, {embedding.num_labels})", label)
    return label_indices(names_of(embedding), [label])[0]


def label_indices(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the index of each label.

    Raises:
        DataError: Labels are not among the names; lists them with close matches.
    """
    indices = {name: index for index, name in reversed(list(enumerate(names)))}
    unknown = [label for label in labels if label not in indices]
    if unknown:
        hints = [hint for label in unknown if (hint := _close_matches(label, names))]
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        expected = f"one of {len(names)} labels ({shown})"
        raise DataError("label", expected, ", ".join(map(repr, unknown)), "; ".join(hints))
    return [indices[label] for label in labels]


def _close_matches(label: str, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in reversed(names)}
    matches = [folded[match] for match in difflib.get_close_matches(label.casefold(), list(folded), n=3)]
    return f"Close to {label!r}: {', '.join(matches)}" if matches else ""
