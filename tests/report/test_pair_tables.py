"""Tables of all pairs: one row per pair, provenance, and text that Markdown and LaTeX can hold."""

import re
from pathlib import Path

from labelemb.report import make_report
from labelemb.report.experiment import load_experiments
from labelemb.report.pair_tables import _latex, pairs_latex, pairs_markdown, pairs_of
from tests.report.conftest import WriteRun


def write_three(write_run: WriteRun, task: str = "mnist-mlp") -> None:
    for place, method in enumerate(("cross_entropy", "label_smoothing", "label_embedding")):
        for seed in range(8):
            write_run(method, seed, test=[3.0 - 0.5 * place + 0.1 * ((seed * (place + 2)) % 5)], task=task)


def test_every_pair_has_a_row_with_its_numbers(write_run: WriteRun, runs: Path) -> None:
    write_three(write_run)
    experiments, _ = load_experiments([runs])
    rows = [line for line in pairs_markdown(experiments).splitlines() if re.match(r"\| (one-hot|label)", line)]
    pairs = pairs_of(experiments[0])
    assert len(rows) == len(pairs) == 3
    for row, pair in zip(rows, pairs, strict=True):
        cells = row.strip("| ").split(" | ")
        assert cells[2] == str(pair.difference.n) == "8"
        assert cells[3].startswith(f"{pair.difference.mean:.2f} (")
        assert cells[6].startswith(f"{pair.won} of 8")


def test_the_provenance_is_below_the_table_and_in_the_caption(write_run: WriteRun, runs: Path) -> None:
    write_three(write_run)
    experiments, _ = load_experiments([runs])
    made = "seeds 0 to 7; 95 % intervals (Student's t) over paired seeds"
    assert made in pairs_markdown(experiments)
    assert made.replace("%", r"\%") in pairs_latex(experiments)
    assert "labelemb 0.1.0, torch 2.13.0, on cpu, data d1" in pairs_markdown(experiments)


def test_latex_escapes_what_it_would_read(write_run: WriteRun, runs: Path) -> None:
    write_three(write_run, task="a_b&c%d")
    made = pairs_latex(load_experiments([runs])[0])
    assert r"\caption{a\_b\&c\%d." in made
    assert _latex("-0.42 (-0.85 to 0.01), 10-20") == r"\textminus{}0.42 (\textminus{}0.85 to 0.01), 10-20"
    assert made.count(r"\\") == 1 + 3  # header and rows
    assert not re.search(r"(?<!\\)[_%#$]", made)


def test_a_report_has_them_only_where_there_is_a_pair(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_run("cross_entropy", 0, test=[2.0])
    made = make_report([runs], tmp_path / "one")
    assert not any(path.name.startswith("pairs") for path in made.tables)
    write_three(write_run, task="other")
    made = make_report([runs], tmp_path / "two")
    assert {"pairs.md", "pairs.tex"} <= {path.name for path in made.tables}
