"""Titles, order and colors of methods and of their variants in tables and charts."""

from collections.abc import Sequence

from labelemb.methods import METHODS

_VARIANT_COLORS = ("#b15928", "#8da0cb", "#e7298a", "#1b9e77", "#4d4d4d")


def method_title(method: str) -> str:
    """Return the title of a method, or of a variant with its own directory (``METHOD-without-TERM``, ``KEY=VALUE``).

    Example:
        >>> method_title("cross_entropy"), method_title("label_embedding-without-cap"), method_title("tau=2")
        ('one-hot', 'label embedding without cap', 'tau=2')
    """
    method, without, term = method.partition("-without-")
    return (METHODS[method].title if method in METHODS else method) + without.replace("-", " ") + term


def method_rank(method: str) -> tuple[int, str]:
    """Return the sort key of a method: registered methods in their order, then variants by name."""
    known = list(METHODS)
    return (known.index(method) if method in known else len(known), method)


def method_color(method: str, methods: Sequence[str]) -> str:
    """Return the color of a method as ``#rrggbb``.

    Args:
        method: Name of the method or variant.
        methods: All names in the figure, which decide the colors of variants. Registered methods keep theirs.
    """
    colors = {name: METHODS[name].color for name in methods if name in METHODS and METHODS[name].color}
    if method in colors:
        return str(colors[method])
    others = [other for other in methods if other not in colors]
    return _VARIANT_COLORS[others.index(method) % len(_VARIANT_COLORS)]
