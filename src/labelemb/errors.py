"""Errors that teach: each names the argument, what was expected and what came."""


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
