"""Print timings as a table and write them to a CSV file, with ratios below."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Timing, describe_machine


@dataclass(frozen=True)
class Comparison:
    """Timings of one run.

    Args:
        title: Title of the table.
        timings: Seconds per round, by program.
        unit: What a call processes, for example images.
        count: Number of units per call.
        ratios: Ratios of timings, by description.
    """

    title: str
    timings: Mapping[str, Timing]
    unit: str
    count: int
    ratios: Mapping[str, float]

    def rate(self, name: str) -> float:
        """Return units per second at the median."""
        return self.count / self.timings[name].median

    def show(self, console: Console) -> None:
        """Print the table and the ratios."""
        table = Table(self.title, "median ms", "20 % - 80 %", f"{self.unit}/s", box=None, title_justify="left")
        for name, timing in self.timings.items():
            low, high = timing.spread
            spread = f"{1e3 * low:.4g} - {1e3 * high:.4g}"
            table.add_row(name, f"{1e3 * timing.median:.4g}", spread, f"{self.rate(name):,.0f}")
        console.print(table)
        for name, ratio in self.ratios.items():
            console.print(f"{ratio:6.3g}  {name}", highlight=False, soft_wrap=True)

    def rows(self) -> list[list[object]]:
        """Return the lines of the file: programs in the columns of ``HEADER``, then ratios."""
        lines: list[list[object]] = []
        for name, timing in self.timings.items():
            milliseconds = [round(1e3 * value, 4) for value in (timing.median, *timing.spread)]
            lines.append([name, *milliseconds, round(self.rate(name), 1), self.unit, len(timing.samples)])
        return lines + [[name, round(ratio, 4), "", "", "", "", ""] for name, ratio in self.ratios.items()]


HEADER = ["what", "median_ms", "low_ms", "high_ms", "per_second", "unit", "rounds"]


def show(*tables: Comparison, note: str = "") -> None:
    """Print the machine and all tables."""
    console = Console()
    console.print(describe_machine() + (f"; {note}" if note else ""), highlight=False, soft_wrap=True)
    for table in tables:
        table.show(console)


def write(path: Path, *tables: Comparison, note: str = "", keep: bool = False) -> None:
    """Write the tables below a line that describes the machine; with ``keep`` append to the file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a" if keep else "w", newline="", encoding="utf-8") as file:
        file.write(f"# {describe_machine()}\n" + (f"# {note}\n" if note else ""))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for table in tables:
            writer.writerow([table.title, *[""] * (len(HEADER) - 1)])
            writer.writerows(table.rows())
