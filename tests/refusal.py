"""Assert an error by its parts: the argument, what was expected, what came, and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from labelemb.errors import LabelembError


@contextmanager
def refuses(
    error: type[LabelembError], argument: str, expected: str = "", got: object = "", hint: str = ""
) -> Iterator[None]:
    """Fail unless the block raises this error about the argument; the other parts need only contain the given text."""
    with pytest.raises(error) as raised:
        yield
    assert raised.type is error
    assert raised.value.argument == argument
    for part, text in ((raised.value.expected, expected), (raised.value.got, got), (raised.value.hint, hint)):
        assert str(text) in str(part), raised.value
