"""The argument parser of all commands: jsonargparse whose errors are one line and whose help states types once."""

import itertools
import math
import re
from argparse import SUPPRESS, Action
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from docstring_parser import DocstringStyle
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace, set_parsing_settings

from labelemb.cli.suggestions import suggest
from labelemb.errors import Choices, ConfigError, LabelembError, escape_control

set_parsing_settings(docstring_parse_style=DocstringStyle.GOOGLE)

TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}


class UsageError(LabelembError):
    """A command line that cannot be parsed; ``str(error)`` is the message."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)

    def __reduce__(self) -> tuple[type[LabelembError], tuple[object, ...]]:
        """Pickle by the message."""
        return type(self), (str(self),)


class HelpFormatter(DefaultHelpFormatter):
    """Keep the line breaks of example sessions; state a type, or the choices, once and in words.

    A default that is not a value, as in ``"threads per run; default: all cores"``, is shown where values are.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())

    def _get_help_string(self, action: Action) -> str:
        text, _, default = _plain(action.help).partition("; default: ")
        notes = []
        if _hint(action) not in (None, str, str | None) and not _choices(action):
            notes.append(expected_value(_hint(action)))
        if action.option_strings and action.default not in (None, SUPPRESS, "", []) and action.nargs != 0:
            default = str(action.default).lower() if isinstance(action.default, bool) else "%(default)s"
        if default:
            notes.append(f"default: {default}")
        return f"{text} ({'; '.join(notes)})" if notes else text


class Parser(ArgumentParser):
    """An argument parser that accepts whole option names only and raises LabelembError.

    Args:
        description: What the command does, for ``--help``.
        session: Example commands with their real output, shown below the options.
        usage: The usage line; None: built from the arguments.
        prog: Name of the program; None: as for a subcommand.
    """

    def __init__(
        self, description: str = "", session: str = "", usage: str | None = None, prog: str | None = None
    ) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=session,
            usage=usage,
            allow_abbrev=False,
            exit_on_error=False,
            formatter_class=HelpFormatter,
        )
        self.others: dict[str, str] = {}  # options that exist elsewhere -> where, for error messages
        self._parsed: tuple[Action, object] | None = None  # the argument that is being parsed, for error messages

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Namespace:  # type: ignore[override]
        """Parse the arguments. Raises UsageError for an unknown option, ConfigError for a value of another type."""
        self._refuse_unknown(args or ())
        return super().parse_args(None if args is None else self._positionals_first(args), *more, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError for a value of the wrong type, UsageError for anything else, in one line."""
        if isinstance(ex, TypeError) and self._parsed is not None:
            action, value = self._parsed
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            raise ConfigError(action.dest, expected_value(_hint(action)), repr(value)) from ex
        raise UsageError(f"{' '.join(message.split()).rstrip('.')}. {self.prog} --help shows the options") from ex

    def values_of(self, content: Mapping[str, object], source: str) -> dict[str, Any]:
        """Convert the keys of a config file to the types of their options.

        Args:
            content: Keys and values as YAML gives them.
            source: Name of the file, for error messages.

        Raises:
            ConfigError: For an unknown key or a value of another type.
        """
        known = {action.dest for action in self._actions} - {"help", "help_all"}
        if unknown := sorted(map(str, content.keys() - known)):
            hint = " ".join(filter(None, (suggest(key, known) for key in unknown)))
            expected = "only keys of this kind of run (labelemb train PRESET --help-all lists them)"
            raise ConfigError(source, expected, f"unknown keys {', '.join(unknown)}", hint)
        try:
            return dict(self.parse_object(dict(content), defaults=False).as_dict())
        except ConfigError as error:
            raise ConfigError(f"{source}: {error.argument}", error.expected, error.got, error.hint) from error

    def validate(self, namespace: Namespace, *more: Any, **settings: Any) -> None:
        """Check a parsed command line. Raises ConfigError for a number out of range, or a missing required argument."""
        with Choices() as choices:
            choices.expect_numbers({action.dest: namespace.get(action.dest) for action in self._actions})
        for action in self._actions:
            if action.required and action is not self._subcommands_action and namespace.get(action.dest) in (None, []):
                raise ConfigError(action.dest, str(action.help), "none", f"{self.prog} --help shows the arguments")
        super().validate(namespace, *more, **settings)

    def _positionals_first(self, arguments: Sequence[str]) -> list[str]:
        """Move options behind the positional arguments; argparse assigns these only if they are not separated."""
        if self._subcommands_action is not None or "--" in arguments:
            return list(arguments)
        positionals, options = list[str](), list[str]()
        values = 0.0  # number of values that the last option still takes
        for argument in arguments:
            if argument in self._option_string_actions:
                nargs = self._option_string_actions[argument].nargs
                values = math.inf if nargs in ("*", "+") else nargs if isinstance(nargs, int) else 1
                options.append(argument)
            elif argument.startswith("--"):  # --option=value
                values = 0
                options.append(argument)
            elif values:
                values -= 1
                options.append(argument)
            else:
                positionals.append(argument)
        return positionals + options

    def _refuse_unknown(self, arguments: Sequence[str]) -> None:
        """Raise UsageError, with a hint, for an option that does not exist."""
        if self._subcommands_action is not None:  # most of the arguments are the subcommand's
            return
        known = self._option_string_actions
        checked = itertools.takewhile(lambda argument: argument != "--", arguments)
        for name in (argument.partition("=")[0] for argument in checked):
            if name.startswith("--") and name not in known:
                hint = suggest(name, known) or f"{self.prog} --help shows the options"
                if name in self.others:
                    hint = f"It is an option of {self.others[name]}"
                if name == "--pretrained" and "--model" in known:
                    hint = f"--model takes {_plain(known['--model'].help)}"
                raise UsageError(f"{name}: no such option. {hint}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print a help text; the preset of someone else may have control characters in its comments."""
        super()._print_message(escape_control(message or ""), file)

    # jsonargparse reports a value of the wrong type by a message alone; these two say which argument it was.
    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        self._parsed = (action, arg_strings)
        return super()._get_values(action, arg_strings)

    def _check_value_key(self, action: Action, value: object, *more: Any, **settings: Any) -> Any:
        self._parsed = (action, value)
        return super()._check_value_key(action, value, *more, **settings)


def expected_value(hint: Any) -> str:
    """Describe the values of a type hint.

    Example:
        >>> expected_value(int | None), expected_value(Literal["hinge", "absolute"])
        ('a whole number or null', 'hinge or absolute')
    """
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(expected_value(part) for part in get_args(hint))
    return TYPE_NAMES.get(hint, str(hint))


def _plain(text: str | None) -> str:
    """Return a docstring's text for a terminal: no markup, no full stop, lower case at the start as elsewhere.

    Example:
        >>> _plain("Momentum of ``sgd``."), _plain("CutMix parameter."), _plain("CSV file.")
        ('momentum of sgd', 'CutMix parameter', 'CSV file')
    """
    plain = (text or "").replace("``", "").rstrip(".")
    return plain[:1].lower() + plain[1:] if re.match(r"[A-Z][a-z]+\b", plain) else plain


def _hint(action: Action) -> Any:
    return getattr(action, "_typehint", action.type)


def _choices(action: Action) -> bool:
    """Whether the help already lists the possible values, as ``{a,b}``."""
    return get_origin(_hint(action)) is Literal or (bool in (_hint(action), *get_args(_hint(action))))
