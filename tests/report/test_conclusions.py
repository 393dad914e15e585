"""What a report concludes: equivalence, power, and seeds that were added until a decision."""

import json
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import ConfigError, DataError
from labelemb.report import make_report
from labelemb.report.comparison import MethodComparison, compare_methods
from labelemb.report.conclusions import conclusion_lines
from labelemb.report.experiment import load_experiments
from labelemb.report.sequential import look_sentence, sequential_notes, write_record
from labelemb.stats.sequential import Look, plan
from tests.report.conftest import WriteRun


def compared(write_run: WriteRun, runs: Path, gain: float, spread: float, seeds: int = 10) -> MethodComparison:
    """Two methods; the second is better by ``gain`` points on average."""
    random = np.random.default_rng(0)
    noise = random.normal(size=seeds)
    noise = spread * (noise - noise.mean()) / noise.std(ddof=1)
    for seed in range(seeds):
        write_run("cross_entropy", seed, test=[5.0])
        write_run("label_embedding", seed, test=[5.0 - gain + float(noise[seed])])
    found = compare_methods(load_experiments([runs])[0][0])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("gain", "spread", "said"),
    [
        (1.0, 0.2, "better by 1 (0.86 to 1.14) points"),
        (-1.0, 0.2, "worse by 1 (0.86 to 1.14) points"),
        (0.0, 0.1, "alike within 0.2 points"),
        (0.1, 0.05, "better by 0.1 (0.06 to 0.14) points, but alike within 0.2 points"),
        (0.1, 0.3, "more seeds would probably decide"),
    ],
)
def test_a_line_per_method(write_run: WriteRun, runs: Path, gain: float, spread: float, said: str) -> None:
    (line,) = conclusion_lines(compared(write_run, runs, gain, spread), 0.2)
    assert line.startswith("mnist-mlp: label embedding against one-hot: ")
    assert said in line
    assert "to show 0.1, 0.2, 0.5 points takes" in line


def test_nothing_is_alike_without_a_margin(write_run: WriteRun, runs: Path) -> None:
    comparison = compared(write_run, runs, 0.0, 0.1)
    assert "alike" not in conclusion_lines(comparison)[0]
    with pytest.raises(ConfigError, match="a margin in points above 0"):
        conclusion_lines(comparison, -1.0)


def test_the_report_says_them_in_text_markdown_and_page(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    compared(write_run, runs, 0.0, 0.1)
    made = make_report([runs], tmp_path / "out", alike=0.2)
    assert "alike within 0.2 points" in made.text
    assert all(
        "alike within 0.2 points" in (tmp_path / "out" / name).read_text().lower()
        for name in ("table.md", "report.html")
    )


def test_a_report_tells_that_the_number_of_seeds_depended_on_the_results(
    write_run: WriteRun, runs: Path, tmp_path: Path
) -> None:
    compared(write_run, runs, 1.0, 0.2)
    looks = {"label_embedding": Look(6, 1.0, 0.4, 1.6, "better")}
    write_record(runs / "mnist-mlp", "cross_entropy", plan(0.2, 10), looks)
    text = make_report([runs], tmp_path / "out").text
    assert "too optimistic" in text
    assert "label embedding better by 1 points (0.4 to 1.6 over all looks), 6 seeds" in text


def test_an_unknown_interval_survives_the_record(write_run: WriteRun, runs: Path) -> None:
    compared(write_run, runs, 1.0, 0.2)
    looks = {"label_embedding": Look(6, 1.0, -np.inf, np.inf, "undecided")}
    write_record(runs / "mnist-mlp", "cross_entropy", plan(0.2, 10), looks)
    assert "not decided" in sequential_notes(load_experiments([runs])[0][0])[0]


@pytest.mark.parametrize("content", ["[]", "{}", '{"reference": 1}', "no JSON"])
def test_a_damaged_record_is_refused(write_run: WriteRun, runs: Path, content: str) -> None:
    compared(write_run, runs, 1.0, 0.2, seeds=2)
    (runs / "mnist-mlp" / "seeds-auto.json").write_text(content)
    with pytest.raises(DataError, match="seeds-auto.json"):
        sequential_notes(load_experiments([runs])[0][0])


def test_sentences_of_looks() -> None:
    assert look_sentence(Look(8, -1.9, -2.9, -0.9, "worse"), 0.2) == "worse by 1.9 points (0.9 to 2.9 over all looks)"
    assert look_sentence(Look(8, 0.01, -0.1, 0.1, "alike"), 0.2).startswith("alike within 0.2 points")
    assert look_sentence(Look(8, 0.1, 0.05, 0.15, "better but alike"), 0.2).endswith("but alike within 0.2 points")


def test_the_record_is_plain_json(runs: Path) -> None:
    (runs / "x").mkdir(parents=True)
    write_record(runs / "x", "cross_entropy", plan(0.2, 10), {"ols": Look(6, 0.0, -np.inf, np.inf, "undecided")})
    content = json.loads((runs / "x" / "seeds-auto.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["looks"] == [6, 8, 10]
