"""The tables in the documents are what ``labelemb report`` makes of the raw histories in results/."""

import re
from pathlib import Path

import pytest

from labelemb.report.aggregate import collect
from labelemb.report.tables import markdown_table

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- labelemb report (.*?) -->\n(.*?)<!-- end -->", flags=re.S)


@pytest.mark.parametrize("document", ["README.md", "docs/results.md"])
def test_tables_come_from_the_histories(document: str) -> None:
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    assert blocks
    for arguments, block in blocks:
        folders, _, reference = arguments.partition(" --reference ")
        tasks, warnings = collect([ROOT / folder for folder in folders.split()])
        made = markdown_table(tasks, warnings, reference or None)
        lines = [line for line in block.splitlines() if line]
        assert lines
        missing = [line for line in lines if line not in made.splitlines()]
        assert not missing, f"{document}: not in the report of {arguments}: {missing}"
