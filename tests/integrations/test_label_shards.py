"""The example of labels in shards trains the same model on one process and on two; the document's code runs."""

from pathlib import Path

import pytest

from tests.integrations import label_shards_cases
from tests.processes import run_in_processes


def test_the_example_trains_the_same_model_on_two_processes(tmp_path: Path) -> None:
    pytest.importorskip("num2words")
    for size in (1, 2):
        run_in_processes(size, tmp_path / str(size), label_shards_cases.run_example, str(tmp_path))
    one, two = ((tmp_path / f"{size}.txt").read_text().splitlines() for size in (1, 2))
    words = int(one[0].split()[2])
    assert one[0] == f"{words} of {words} words on process 0"
    assert two[0] == f"{-(-words // 2)} of {words} words on process 0"
    assert one[1:] == two[1:]


def test_the_code_of_the_document(tmp_path: Path) -> None:
    run_in_processes(2, tmp_path, label_shards_cases.run_document, str(tmp_path))
