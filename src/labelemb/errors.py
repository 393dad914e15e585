"""Errors that name the argument, the expected and the given value, and the remedy if there is one."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from types import TracebackType
from typing import Self

LONGEST = 500  # characters of a value in a message
LARGEST_INT = 2**31 - 1  # of an option
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    r"""Return text on one line without control characters; white space becomes single spaces.

    >>> printable("a\n b\x1b[2J")
    'a b\\u001b[2J'
    """
    try:
        line = " ".join(str(text).split())
    except ValueError:  # Python refuses to write a whole number of more than 4300 digits
        return "a number of thousands of digits"
    return escape_control(line)


def escape_control(text: str) -> str:
    r"""Escape the characters that could rewrite what a terminal shows, line feeds and tabs aside.

    These are control characters, marks that change the direction of text, and parts of file names that are not UTF-8.

    >>> escape_control("a\x1b[2J\n")
    'a\\u001b[2J\n'
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class LabelembError(ValueError):
    """A mistake in the input. The command line prints it as one line and exits with code 2.

    The message reads ``argument: expected ..., got ...``, followed by the hint.

    Args:
        argument: Name of the argument, option or file.
        expected: What is accepted.
        got: What was given.
        hint: What to do instead.
    """

    def __init__(self, argument: str, expected: str, got: object, hint: str = "") -> None:
        self.argument, self.expected, self.got, self.hint = argument, expected, got, hint
        given = printable(got)
        given = given if len(given) <= LONGEST else f"{given[:LONGEST]}..."
        super().__init__(printable(f"{argument}: expected {expected}, got {given}" + (f". {hint}" if hint else "")))

    def __reduce__(self) -> tuple[type["LabelembError"], tuple[object, ...]]:
        """Pickle with all arguments; the default would pass the message alone."""
        return type(self), (self.argument, self.expected, str(self.got), self.hint)


class ConfigError(LabelembError):
    """An option that cannot be used: an unknown name, a number out of range, a folder with another run."""


class RunBusyError(ConfigError):
    """A run that another process is training now. The command line exits with code 3: try again later."""


class DataError(LabelembError):
    """Data that cannot be used: a label out of range, NaN, a missing or damaged file."""


class ShapeError(LabelembError):
    """A tensor with the wrong shape or dtype."""


class SeveralConfigErrors(ConfigError):  # noqa: N818 - it is several
    """Several configuration errors in one message.

    Args:
        errors: The errors, kept as ``errors``.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = list(errors)
        ValueError.__init__(self, "; ".join(str(error) for error in errors))

    def __reduce__(self) -> tuple[type[LabelembError], tuple[object, ...]]:
        """Pickle with the errors."""
        return type(self), (self.errors,)


def check_at_least_one(argument: str, value: object, most: int = LARGEST_INT) -> None:
    """Raise ConfigError unless ``value`` is a whole number from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(argument, "a whole number >= 1", value)
    if int(value) > most:
        raise ConfigError(argument, f"a whole number of at most {most:,}", value)


def nearest(word: object, known: Iterable[str]) -> str:
    """Return a hint for a mistyped word, or "" when no known word is similar.

    >>> nearest("trian", ["train", "report"])
    "Did you mean 'train'?"
    """
    found = get_close_matches(str(word)[:LONGEST], list(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else ""


class Choices:
    """Collects the errors of several options and raises them together when the ``with`` block ends.

    Raises:
        ConfigError: One option is wrong; ``SeveralConfigErrors`` when several are.

    Example:
        >>> with Choices() as choices:
        ...     choices.expect(True, "epochs", "a whole number >= 1", 3)
        ...     choices.expect_one_of("cap", "hinge", ["hinge", "absolute"])
    """

    def __init__(self) -> None:
        self._errors: list[ConfigError] = []

    def expect(self, fine: bool, argument: str, expected: str, got: object, hint: str = "") -> None:
        """Add an error unless ``fine``."""
        if not fine:
            self._errors.append(ConfigError(argument, expected, got, hint))

    def expect_one_of(self, argument: str, value: object, known: Sequence[object]) -> None:
        """Add an error unless ``value`` is one of the known values."""
        self.expect(value in known, argument, " or ".join(map(str, known)), repr(value))

    def expect_numbers(self, values: Mapping[str, object]) -> None:
        """Add an error for each number that is not finite or too large for an index."""
        for name, value in values.items():
            if isinstance(value, float):
                self.expect(math.isfinite(value), name, "a finite number", value)
            elif isinstance(value, int):
                self.expect(abs(value) <= LARGEST_INT, name, f"a whole number of at most {LARGEST_INT:,}", value)

    def include(self, make: Callable[[], object]) -> None:
        """Call ``make`` and add the configuration errors that it raises."""
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
        errors = list({str(added): added for added in self._errors}.values())  # two checks may look at one option
        if error is None and errors:
            raise errors[0] if len(errors) == 1 else SeveralConfigErrors(errors)
