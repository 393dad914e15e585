"""The report as a whole: which files, the same bytes, hostile names, odd sets of runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from labelemb.errors import ConfigError, DataError
from labelemb.report import Report, make_report
from tests.report.conftest import ANIMAL_ROWS, ANIMALS, WriteRun, soft, write

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(2)>",
    "{{ script }} {% for x in y %} & $x_1$ \u2028",
]


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, the text of its data, and all other text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data = ""
        self.text = ""
        self.reading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.reading = ("id", "data") in attrs

    def handle_data(self, data: str) -> None:
        if self.reading:
            self.data += data
            self.reading = False
        else:
            self.text += data


def read(page: Path) -> Tags:
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    return tags


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("animals")
    for seed in range(2):
        write(runs, "cross_entropy", seed, test=[4.0, 2.0 + seed], valid=[4.0, 2.0])
        write(
            runs,
            "label_embedding",
            seed,
            test=[3.0, 1.5 + seed],
            valid=[3.0, 2.0],
            logits=soft(*ANIMAL_ROWS),
            names=ANIMALS,
        )
    return runs


@pytest.fixture(scope="module")
def report(animals: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    before = contents(animals)
    made = make_report([animals], tmp_path_factory.mktemp("report"))
    assert contents(animals) == before  # runs are only read
    return made


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_everything_is_written(report: Report) -> None:
    names = {path.name for path in report.page.parent.iterdir()}
    charts = ("curves", "intervals", "heatmap", "dendrogram", "map", "development", "loss")
    assert names == {
        *("report.html", "table.txt", "table.md", "table.csv", "pairs.md", "pairs.tex"),
        *(f"{chart}-mnist-mlp.{kind}" for chart in charts for kind in ("svg", "png")),
    }
    assert {path.name for path in (report.page, *report.tables, *report.figures)} == names
    assert report.text == (report.page.parent / "table.txt").read_text(encoding="utf-8")
    assert all(path.stat().st_size for path in report.figures)


def test_the_same_runs_give_the_same_bytes(report: Report, animals: Path) -> None:
    before = contents(report.page.parent)
    make_report([animals], report.page.parent)
    assert contents(report.page.parent) == before


def test_the_page_needs_no_network(report: Report) -> None:
    text = report.page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert set(re.findall(r"https?://[^\s'\"<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "default-src 'none'" in text
    assert "innerHTML" not in text


def test_every_id_is_there_once_and_charts_have_a_text_alternative(report: Report) -> None:
    tags = read(report.page)
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.tags.count("svg") == sum(name == "aria-label" and bool(value) for name, value in tags.attributes) - 1
    assert tags.tags.count("svg") > 10


def test_charts_of_the_page_are_those_of_the_files(report: Report) -> None:
    """Drawn once: every path of an image file is in the page, its numbers shortened."""
    page = report.page.read_text(encoding="utf-8")
    for name in ("intervals-mnist-mlp", "curves-mnist-mlp"):
        svg = (report.page.parent / f"{name}.svg").read_text(encoding="utf-8")
        ids = re.findall(r'<g id="(m\d-[^"]+)">', svg)
        assert ids
        assert all(f"-{element}" in page for element in ids)


def test_hostile_names_stay_text(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    note = "</pre><script>alert(3)</script>"
    write_run("label_embedding", 0, test=[1.0], logits=soft(*ANIMAL_ROWS), names=HOSTILE, config={"note": note})
    tags = read(make_report([runs], tmp_path / "out").page)
    assert tags.tags.count("script") == 2  # the data and the page's own
    assert "img" not in tags.tags
    assert json.loads(tags.data)["views"][0]["names"] == HOSTILE
    assert f"Data: {note}" in tags.text


def test_a_hundred_labels_and_twenty_seeds_stay_small(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    errors = [5.0 + 1 / (epoch + 3) for epoch in range(100)]
    logits = 5 * torch.eye(100) + torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    for seed in range(20):
        write_run("cross_entropy", seed, test=errors, valid=errors)
        write_run("label_embedding", seed, test=errors, valid=errors, logits=logits if seed < 2 else None)
    assert make_report([runs], tmp_path / "out").page.stat().st_size < 1_200_000


def test_only_baseline_runs(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_run("cross_entropy", 0, test=[3.0, 2.0])
    report = make_report([runs], tmp_path / "out")
    assert {path.stem for path in report.figures} == {"curves-mnist-mlp", "loss-mnist-mlp"}
    tags = read(report.page)
    assert "Only one-hot (1 seed) so far: nothing to compare." in tags.text
    assert json.loads(tags.data)["views"] == []


def test_only_embedding_runs_with_one_seed_and_one_epoch(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_run("label_embedding", 0, test=[2.0], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    report = make_report([runs], tmp_path / "out")
    assert "2.00 (1)" in report.text
    assert "±" not in report.text.split("\n\n")[1]
    assert "reduction" not in report.text


def test_only_unfinished_runs(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    write_run("label_embedding", 0, test=[2.0], finished=False)
    write_run("cross_entropy", 0, test=[], finished=False, config={"epochs": 3})
    report = make_report([runs], tmp_path / "out")
    assert "one-hot: seed 0 (epoch 0 of 3)" in report.text
    assert report.figures == ()


def test_methods_with_labels_have_files_of_their_own(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    for method in ("label_embedding", "frozen_embedding"):
        write_run(method, 0, test=[2.0], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    report = make_report([runs], tmp_path / "o", labels=["cat", "dog"], order="given", alike=0.2)
    assert {"heatmap-mnist-mlp-label_embedding", "heatmap-mnist-mlp-frozen_embedding"} <= {
        path.stem for path in report.figures
    }
    command = f"labelemb report {runs} --out {tmp_path / 'o'} --labels cat,dog --order given --alike 0.2"
    assert command in read(report.page).text


def test_a_gain_that_was_not_shown_is_no_headline(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    """A difference of the means stands out only where the test shows one, and with what it costs."""
    for seed in range(7):
        for place, method in enumerate(("cross_entropy", "label_embedding", "label_smoothing")):
            error = 2.0 - 0.5 * (place == 1) + 0.01 * ((seed * (place + 2)) % 5)
            write_run(method, seed, test=[error], metrics={"test_ece": 1.0 + 30 * (place == 1) + 0.01 * seed})
    report = make_report([runs], tmp_path / "out")
    page = report.page.read_text(encoding="utf-8")
    (headline,) = re.findall(r'<p class="means">(.*?)</p>', page)
    assert re.sub(r"<.*?>", "", headline) == "0.50 points fewer errors; ECE 1.03 → 31.03\u00a0%: calibrate"
    run = runs / "mnist-mlp" / "label_embedding" / "seed-0"
    assert (
        f"label embedding: 0.50 points fewer errors, but ECE 1.03 → 31.03 %: calibrate with labelemb evaluate {run}"
        in report.text
    )


def test_a_run_of_another_program_is_calibrated_there(write_run: WriteRun, runs: Path, tmp_path: Path) -> None:
    """``labelemb evaluate`` has neither its data nor its weights."""
    for seed in range(6):
        for place, method in enumerate(("cross_entropy", "label_embedding")):
            metrics = {"test_ece": 1.0 + 30 * place + 0.01 * seed}
            error = 2.0 - 0.5 * place + 0.01 * (seed % 3)
            write_run(method, seed, test=[error], metrics=metrics, config={"dataset": None})
    report = make_report([runs], tmp_path / "out")
    assert "calibrate with labelemb.calibrate_head" in report.text
    assert "evaluate" not in report.text


def test_a_mistake_leaves_nothing_behind(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dgo"):
        make_report([animals], tmp_path / "out", labels=["cat", "dgo"])
    with pytest.raises(ConfigError, match="order"):
        make_report([animals], tmp_path / "out", order="random")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such folder"):
        make_report([tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
