"""The figures that a run is judged by: what each is called, its unit, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A figure of the history lines; ``test_`` and the key is its name there.

    name    what a reader calls it; unit: "%", or "" for none
    lower   whether less is better
    digits  behind the point
    """

    key: str
    name: str
    unit: str = ""
    lower: bool = True
    digits: int = 2

    @property
    def title(self) -> str:
        """Return the head of a column."""
        return f"{self.name} %" if self.unit == "%" else self.name

    def shown(self, value: float) -> str:
        """Write a value without its unit."""
        return f"{value:.{self.digits}f}"


ERROR = Measure("error", "error", "%")
MEASURES = (
    ERROR,
    Measure("nll", "NLL", digits=3),
    Measure("ece", "ECE", "%"),
    Measure("adaptive_ece", "adaptive ECE", "%"),
    Measure("brier", "Brier", digits=3),
)
