"""Parsing: whole option names only, unknown ones refused, and every mistake one line that says what to do."""

import json
import re
from dataclasses import fields
from typing import Any, NoReturn, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from labelemb.errors import LabelembError, nearest


class UsageError(LabelembError):
    """A command line that cannot be understood; ``str`` is the message as it stands."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)

    def __reduce__(self) -> tuple[type[LabelembError], tuple[object, ...]]:
        """Travel whole between processes."""
        return type(self), (str(self),)


class Parser(ArgumentParser):
    """jsonargparse without abbreviations, whose errors are raised as UsageError."""

    def __init__(self, verb: str, description: str, session: str, usage: str | None = None) -> None:
        """verb: "labelemb VERB", or the name of a script; session: a real session for --help."""
        super().__init__(
            prog=verb, usage=usage, description=description, epilog=session, allow_abbrev=False, exit_on_error=False
        )
        self.formatter_class = _formatter()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message as one line."""
        unknown = re.match(r"unrecognized arguments: (--?\w+)", message)
        hint = nearest(unknown[1], self._option_string_actions) if unknown else ""
        raise UsageError(f"{_one_line(message)}. {hint or f'{self.prog} --help shows what there is'}")

    def parse(self, arguments: list[str]) -> Namespace:
        """Parse or raise UsageError."""
        try:
            return self.parse_args(arguments)
        except LabelembError:
            raise
        except Exception as error:  # jsonargparse raises its own and argparse's
            self.error(str(error))


def add_config(parser: Parser, config: type, defaults: dict[str, Any], skip: set[str], aliases: dict[str, str]) -> None:
    """Add an option for each field of a config dataclass, with the help that its docstring gives.

    defaults  values that stand instead of the dataclass's own; an unknown key raises UsageError
    skip      fields that are no options
    aliases   field -> another option string for it
    """
    help_of = _field_help(config)
    known = [name for name in help_of if name in {field.name for field in fields(config)}]
    if unknown := sorted(map(str, set(defaults) - set(known))):
        raise UsageError(f"preset: unknown keys {', '.join(unknown)}; known are {', '.join(known)}")
    instance = config()
    hints = get_type_hints(config)
    group = parser.add_argument_group("config keys")
    for name in [name for name in known if name not in skip]:
        names = [f"--{name}", *([aliases[name]] if name in aliases else [])]
        default = defaults.get(name, getattr(instance, name))
        group.add_argument(*names, type=hints[name], default=default, help=help_of[name])


def spelled(value: object) -> str:
    """Write a value of a YAML file as one would on the command line."""
    return str(value) if isinstance(value, str) else json.dumps(value)


def _field_help(config: type) -> dict[str, str]:
    """Read the lines "name   what it is" of the class's docstring: one definition for the code and for --help.

    The class's own come first, then those of the classes that it is made of.
    """
    found: dict[str, str] = {}
    for kind in config.__mro__:
        text = kind.__doc__ or ""
        entries = re.findall(r"^    (\w+(?:, \w+)*)\s{2,}(.+(?:\n\s{8,}.+)*)", text, flags=re.M)
        entries += re.findall(r"^        (\w+): (.+(?:\n\s{12,}.+)*)", text, flags=re.M)
        for names, help_text in entries:
            for name in names.split(", "):
                found.setdefault(name, " ".join(help_text.split()).replace("``", "").replace("%", "%%"))
    return found


def _one_line(message: str) -> str:
    """Say in our words what jsonargparse says in its own."""
    message = " ".join(message.split()).rstrip(".")
    optional = re.fullmatch(r'Parser key "(\w+)": Does not validate.*Subtypes: (\[.+?\]) .*Given value: (.*)', message)
    wrong_type = optional or re.fullmatch(r'Parser key "(\w+)": Expected a (.+)\. Got value: (.*)', message)
    if not wrong_type:
        return message
    name, expected, got = wrong_type.groups()
    choices = re.findall(r"'([^']+)'", expected)
    return f"{name}: expected {' or '.join(_TYPES.get(choice, choice) for choice in choices) or expected}, got {got!r}"


_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "null"}


def _formatter() -> Any:
    from jsonargparse import DefaultHelpFormatter

    class KeepLines(DefaultHelpFormatter):
        """The session in --help keeps its line breaks."""

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n".join(indent + line for line in text.splitlines())

    return KeepLines
