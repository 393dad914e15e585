"""Which labels a network holds for near: the largest entries of a soft label."""

import difflib
from collections.abc import Collection, Sequence

import torch

from labelemb.errors import DataError, check_at_least_one
from labelemb.terms.embedding import LabelEmbedding


def similar(
    embedding: LabelEmbedding, label: str | int, top: int = 5, without: Collection[str] = ()
) -> list[tuple[str, float]]:
    """Return the ``top`` largest entries of softmax(E[label]) but the label's own: (name, probability), largest first.

    label    its name; its number as an int, or as a string where the embedding has no names
    without  names that are not shown

    One row of E is made, whatever the number of labels. Raises DataError for a label that is not there, with close
    matches; ConfigError for top < 1.
    """
    check_at_least_one("top", top)
    number = label_number(embedding, label)
    with torch.no_grad():
        logits = embedding.rows(torch.tensor([number], device=next(embedding.parameters()).device))[0]
        probabilities = torch.softmax(logits.float(), dim=-1)
    probabilities[number] = -1.0
    names = names_of(embedding)
    values, labels = probabilities.topk(min(top + len(without), embedding.num_labels - 1))
    found = ((names[other], value) for other, value in zip(labels.tolist(), values.tolist(), strict=True))
    return [(name, value) for name, value in found if name not in without][:top]


def names_of(embedding: LabelEmbedding) -> list[str]:
    """Return the label names, or the numbers in their stead."""
    return embedding.label_names or [str(number) for number in range(embedding.num_labels)]


def label_number(embedding: LabelEmbedding, label: str | int) -> int:
    """Return the number of a label given by name or number. Raises DataError, with close matches."""
    if isinstance(label, int):
        if 0 <= label < embedding.num_labels:
            return label
        raise DataError("label", f"a number in [0, {embedding.num_labels})", label)
    return label_numbers(names_of(embedding), [label])[0]


def label_numbers(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the position of each label among the names.

    Raises DataError that lists those that are not there, with close matches.
    """
    numbers = {name: number for number, name in reversed(list(enumerate(names)))}
    unknown = [label for label in labels if label not in numbers]
    if unknown:
        hints = [hint for label in unknown if (hint := _close(label, names))]
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        expected = f"one of {len(names)} labels ({shown})"
        raise DataError("label", expected, ", ".join(map(repr, unknown)), "; ".join(hints))
    return [numbers[label] for label in labels]


def _close(label: str, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in reversed(names)}
    matches = [folded[match] for match in difflib.get_close_matches(label.casefold(), list(folded), n=3)]
    return f"Close to {label!r}: {', '.join(matches)}" if matches else ""
