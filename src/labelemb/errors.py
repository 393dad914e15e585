"""Errors that teach: each names the argument, what was expected and what came."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from types import TracebackType
from typing import Self


class LabelembError(ValueError):
    """A mistake in what the caller handed over; the command line prints it as one line and exits with 2.

    ``str(error)`` reads ``argument: expected ..., got ...`` and ends with a hint where there is one.
    """

    def __init__(self, argument: str, expected: str, got: object, hint: str = "") -> None:
        self.argument, self.expected, self.got, self.hint = argument, expected, got, hint
        super().__init__(f"{argument}: expected {expected}, got {got}" + (f". {hint}" if hint else ""))

    def __reduce__(self) -> tuple[type["LabelembError"], tuple[object, ...]]:
        """Travel whole between processes: the default would call the class with the joined message alone."""
        return type(self), (self.argument, self.expected, self.got, self.hint)


class ConfigError(LabelembError):
    """A choice that cannot be: an unknown name, a number out of its range, a run folder that holds another run."""


class DataError(LabelembError):
    """Values or files that cannot be used: a label out of range, NaN, a missing or damaged file."""


class ShapeError(LabelembError):
    """A tensor whose shape or dtype does not fit."""


class SeveralConfigErrors(ConfigError):  # noqa: N818 - it is several
    """Several choices that cannot be, told at once. ``errors`` holds each."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = list(errors)
        ValueError.__init__(self, "; ".join(str(error) for error in errors))

    def __reduce__(self) -> tuple[type[LabelembError], tuple[object, ...]]:
        """Travel whole between processes."""
        return type(self), (self.errors,)


def check_at_least_one(argument: str, value: object) -> None:
    """Refuse what is no whole number >= 1. Raises ConfigError."""
    if not isinstance(value, Integral) or value < 1:
        raise ConfigError(argument, "a whole number >= 1", value)


def nearest(word: object, known: Iterable[str]) -> str:
    """Return a hint for a mistyped word; "" when nothing known is like it.

    >>> nearest("trian", ["train", "report"])
    "Did you mean 'train'?"
    """
    found = get_close_matches(str(word), list(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else ""


class Choices:
    """Check several choices and tell everything that is wrong with them at once, when the block ends.

    >>> with Choices() as choices:
    ...     choices.expect(True, "epochs", "a whole number >= 1", 3)
    ...     choices.expect_one_of("cap", "hinge", ["hinge", "absolute"])
    """

    def __init__(self) -> None:
        self._errors: list[ConfigError] = []

    def expect(self, fine: bool, argument: str, expected: str, got: object) -> None:
        """Note an error unless it is fine."""
        if not fine:
            self._errors.append(ConfigError(argument, expected, got))

    def expect_one_of(self, argument: str, value: object, known: Sequence[object]) -> None:
        """Note an error unless the value is a known one."""
        self.expect(value in known, argument, " or ".join(map(str, known)), repr(value))

    def include(self, make: Callable[[], object]) -> None:
        """Note the errors that something else raises about its own choices."""
        try:
            make()
        except SeveralConfigErrors as errors:
            self._errors += errors.errors
        except ConfigError as error:
            self._errors.append(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        errors = list({str(noted): noted for noted in self._errors}.values())  # two checks may look at one choice
        if error is None and errors:
            raise errors[0] if len(errors) == 1 else SeveralConfigErrors(errors)
