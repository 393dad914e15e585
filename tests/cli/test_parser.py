"""Positional arguments may be anywhere on the command line."""

import pytest

from labelemb.cli.command import Command
from labelemb.cli.predict import COMMAND as PREDICT
from labelemb.cli.report import COMMAND as REPORT
from labelemb.cli.similar import COMMAND as SIMILAR
from labelemb.cli.sweep import COMMAND as SWEEP


@pytest.mark.parametrize(
    ("command", "line", "expected"),
    [
        (SIMILAR, "RUN --top 2 cat", {"source": "RUN", "label": "cat", "top": 2}),
        (SIMILAR, "--top=2 RUN cat", {"source": "RUN", "label": "cat", "top": 2}),
        (SIMILAR, "--top 2 -- RUN --cat", {"source": "RUN", "label": "--cat", "top": 2}),
        (PREDICT, "RUN --json a.png --top 2 b.png", {"run": "RUN", "images": ["a.png", "b.png"], "json": True}),
        (REPORT, "one --out here two", {"folders": ["one", "two"], "out": "here"}),
        (SWEEP, "--seeds 2 digits tau=1,2 --epochs 1 beta=0.5", {"preset": "digits", "grid": ["tau=1,2", "beta=0.5"]}),
    ],
)
def test_options_between_positional_arguments(command: Command, line: str, expected: dict[str, object]) -> None:
    arguments = line.split()
    chosen = command.parser(arguments).parse_args(arguments)
    assert {name: chosen[name] for name in expected} == expected
