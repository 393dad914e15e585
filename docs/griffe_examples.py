"""Extension of griffe, which reads the docstrings for the API reference."""

from typing import Any

from griffe import Extension, Object


class ExampleSections(Extension):
    """Take the section ``Example:`` for ``Examples:``, the only spelling that griffe renders as code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe for every object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
