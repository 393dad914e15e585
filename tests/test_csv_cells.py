"""CSV files: whatever a name is, a spreadsheet runs no cell, and the name comes back."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelemb.csv_cells import is_number, unprotect, write_rows

CELLS = st.one_of(st.text(max_size=9), st.text(alphabet="=+-@\t\r\n'1e.,;\"a", max_size=6), st.floats(), st.none())


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=4))
def test_no_cell_is_a_formula_and_names_come_back(rows: list[list[object]]) -> None:
    file = io.StringIO(newline="")
    write_rows(file, rows)
    file.seek(0)
    read = list(csv.reader(file))
    assert not [cell for row in read for cell in row if cell.startswith(tuple("=+-@\t\r\n")) and not is_number(cell)]
    expected = [["" if cell is None else str(cell) for cell in row] for row in rows]
    assert [[unprotect(cell) for cell in row] for row in read] == expected


@pytest.mark.parametrize(
    ("text", "number"), [("-1", True), ("1e-05", True), ("-inf", True), ("-1+1", False), ("1_0", False)]
)
def test_numbers_are_numbers(text: str, number: bool) -> None:
    assert is_number(text) == number
