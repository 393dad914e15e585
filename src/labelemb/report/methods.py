"""Titles, order and colours of methods in tables and figures."""

from collections.abc import Sequence

BASELINE = "cross_entropy"
_TITLES = {
    BASELINE: "one-hot",
    "label_embedding": "label embedding",
    "frozen_embedding": "reused embedding",
    "label_smoothing": "label smoothing",
    "matched_smoothing": "matched smoothing",
    "shuffled_embedding": "shuffled embedding",
    "soft_label_matrix": "own soft labels",
    "ols": "online smoothing",
    "ps_kd": "self-distillation",
    "tf_kd": "virtual teacher",
    "label_relaxation": "label relaxation",
    "label_confusion": "label confusion",
}
# The Okabe-Ito palette, distinguishable with every kind of colour blindness, and close relatives.
_COLORS = {
    BASELINE: "#d55e00",
    "label_embedding": "#0072b2",
    "frozen_embedding": "#009e73",
    "label_smoothing": "#cc79a7",
    "matched_smoothing": "#e69f00",
    "shuffled_embedding": "#56b4e9",
    "ols": "#7f7f7f",
    "soft_label_matrix": "#a6761d",
    "ps_kd": "#882255",
    "tf_kd": "#117733",
    "label_relaxation": "#999933",
    "label_confusion": "#aa4499",
}
_VARIANT_COLORS = ("#44aa99", "#6a3d9a", "#b15928", "#8da0cb", "#e7298a")


def method_title(method: str) -> str:
    """Return the title of a method, or of a variant with its own directory (``METHOD-without-TERM``, ``KEY=VALUE``).

    >>> method_title("cross_entropy"), method_title("label_embedding-without-cap"), method_title("tau=2")
    ('one-hot', 'label embedding without cap', 'tau=2')
    """
    method, without, term = method.partition("-without-")
    return _TITLES.get(method, method) + without.replace("-", " ") + term


def method_rank(method: str) -> tuple[int, str]:
    """Return the sort key of a method: known methods in their own order, then variants by name."""
    known = list(_TITLES)
    return (known.index(method) if method in known else len(known), method)


def method_color(method: str, methods: Sequence[str]) -> str:
    """Return the color of a method as ``#rrggbb``.

    Args:
        method: Name of the method or variant.
        methods: All names in the figure, which decide the colors of variants. Known methods always keep theirs.
    """
    if method in _COLORS:
        return _COLORS[method]
    variants = [other for other in methods if other not in _COLORS]
    return _VARIANT_COLORS[variants.index(method) % len(_VARIANT_COLORS)]
