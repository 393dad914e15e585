"""The tables in the documents are what ``labelemb report`` makes of the raw histories in results/."""

import csv
import json
import re
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import torch
from benchmarks.people.summary import read, summary

from labelemb.metrics.severity import severity_metrics
from labelemb.report.experiment import load_experiments
from labelemb.report.tables import markdown_table
from labelemb.stats.paired import paired_difference, summarize

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- labelemb report (.*?) -->\n(.*?)<!-- end -->", flags=re.S)


@pytest.mark.parametrize("document", ["docs/results.md", "docs/search.md"])
def test_tables_come_from_the_histories(document: str) -> None:
    blocks = BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    assert blocks
    for arguments, block in blocks:
        folders, _, reference = arguments.partition(" --reference ")
        tasks, warnings = load_experiments([ROOT / folder for folder in folders.split()])
        made = markdown_table(tasks, warnings, reference or None)
        lines = [line for line in block.splitlines() if line]
        assert lines
        missing = [line for line in lines if line not in made.splitlines()]
        assert not missing, f"{document}: not in the report of {arguments}: {missing}"


def _test_errors(folders: str) -> dict[str, dict[int, float]]:
    """Return method -> seed -> test error in percent after the last epoch; folders are relative to results/."""
    (experiment,), _ = load_experiments([ROOT / "results" / folder for folder in folders.split()])
    return {method: group.test_errors("last") for method, group in experiment.groups.items()}


def test_tables_of_the_readme_come_from_the_histories() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]* <!-- (.*?) --> \| \d+ \| (.*) \|$", text, flags=re.M)
    assert len(rows) == 11
    for folders, cells in rows:
        errors = _test_errors(folders)
        columns = [errors.get(name) for name in ("cross_entropy", "label_smoothing", "ols", "label_embedding")]
        summaries = [summarize(list(values.values())) if values else None for values in columns]
        means = [f"{found.mean:.2f}" if found else "–" for found in summaries]
        change = paired_difference(errors["label_embedding"], errors["cross_entropy"])
        assert change is not None
        interval = f"{change.mean:.2f} ({change.low:.2f} to {change.high:.2f})"
        assert cells.split(" | ") == [str(change.n), *means, interval], folders


def test_differences_by_data_set_come_from_the_histories() -> None:
    text = (ROOT / "docs" / "do-soft-labels-help.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]* <!-- (.*?): (\w+) --> \| \w+ \| (.*) \|$", text, flags=re.M)
    assert len(rows) == 24
    for folders, method, cells in rows:
        errors = _test_errors(folders)
        expected = [str(len(errors[method])), f"{summarize(list(errors[method].values())).mean:.2f}"]
        for other in ("cross_entropy", "label_smoothing", "ols"):
            found = paired_difference(errors[method], errors[other]) if other in errors else None
            if found is None or found.low is None or found.high is None:
                expected.append("–")
                continue
            shown = f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})".replace("-0.00 (", "0.00 (")
            expected.append(shown if found.low <= 0 <= found.high else f"**{shown}**")
        assert cells.split(" | ") == expected, (folders, method)


def _last_lines(folder: str, key: str) -> dict[int, float]:
    """Return seed -> a number of the last line of each history; the folder is relative to results/."""
    files = {int(path.parent.name[5:]): path for path in (ROOT / "results" / folder).glob("seed-*/history.jsonl")}
    return {seed: json.loads(path.read_text("utf-8").splitlines()[-1])[key] for seed, path in sorted(files.items())}


def test_titles_on_both_machines_come_from_the_histories() -> None:
    def scores(method: str) -> dict[int, float]:
        first, second = (_last_lines(f"csl-titles{end}/{method}", "test_rougeL") for end in ("", "-epyc"))
        return first | {1000 + seed: value for seed, value in second.items()}

    change = paired_difference(scores("label_embedding"), scores("cross_entropy"))
    assert change is not None
    assert change.n == 20
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"<!-- both machines -->{change.mean:.2f} ({change.low:.2f} to {change.high:.2f})<!-- end -->" in text

    def spread(method: str) -> float:
        first, second = (_last_lines(f"csl-titles{end}/{method}", "test_rougeL") for end in ("", "-epyc"))
        return stdev(first[seed] - second[seed] for seed in first)

    plain, learned = spread("cross_entropy"), spread("label_embedding")
    assert f"-->{plain:.1f} with one-hot targets and {learned:.1f} with label embedding<!-- end -->" in text


@pytest.mark.parametrize(
    ("row", "fewer", "whole", "key", "seeds"),
    [
        (
            "`numbers-en-vi`",
            "numbers-en-vi/embedding_rows=0.25",
            "numbers-en-vi/embedding_rows=1",
            "valid_bleu",
            range(8, 32),
        ),
        (
            "banking77",
            "banking77-10/label_embedding",
            "../../banking77-10/label_embedding",
            "test_error",
            range(10, 18),
        ),
        ("titles, Xeon", "csl-titles/label_embedding", "../../csl-titles/label_embedding", "test_rougeL", range(10)),
        ("titles, EPYC", "csl-titles-epyc/quarter", "../../csl-titles-epyc/label_embedding", "test_rougeL", range(10)),
        (
            "the same, share 0.5",
            "csl-titles-epyc/half",
            "../../csl-titles-epyc/label_embedding",
            "test_rougeL",
            range(10),
        ),
    ],
)
def test_table_of_fewer_rows_for_the_embedding(row: str, fewer: str, whole: str, key: str, seeds: range) -> None:
    scores = [_last_lines(f"search/embedding-rows/{folder}", key) for folder in (fewer, whole)]
    change = paired_difference(*({seed: found[seed] for seed in seeds} for found in scores))
    assert change is not None
    text = (ROOT / "docs" / "large-vocabulary.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| {row}.*", text, flags=re.M)
    assert f"{change.mean:+.2f} ({change.low:.2f} to {change.high:.2f})" in line


def test_tables_of_the_search_are_means_of_its_raw_runs() -> None:
    with (ROOT / "results" / "search" / "validation.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- validation (.*?) -->\n(.*?)<!-- end -->", text, flags=re.S)
    assert len(blocks) == 3
    for data, block in blocks:
        lines = [line for line in block.splitlines() if line.startswith("| ")][2:]
        assert lines
        for line in lines:
            rows = [row for row in runs if (row["data"], row["method"]) == (data, line.split(" | ")[0][2:])]
            keys = ("valid_error", "valid_nll", "valid_ece", "temperature", "scaled_nll")
            means = (mean(float(row[key]) for row in rows) for key in keys)
            cells = [f"{value:.{digits}f}" for value, digits in zip(means, (2, 3, 1, 2, 4), strict=True)]
            assert line.strip("| ").split(" | ")[1:] == [str(len(rows)), *cells], line


def test_paired_table_of_the_search_comes_from_its_raw_runs() -> None:
    with (ROOT / "results" / "search" / "validation.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    lines = text.partition("<!-- pairs -->")[2].partition("<!-- end pairs -->")[0].strip().splitlines()[2:]
    assert len(lines) == 13

    def by_seed(data: str, method: str, key: str) -> dict[int, float]:
        rows = [row for row in runs if (row["data"], row["method"]) == (data, method)]
        return {int(row["seed"]): float(row[key]) for row in rows}

    for line in lines:
        data, baseline, seeds, *cells = line.strip("| ").split(" | ")
        keys = (("valid_error", 2), ("valid_nll", 3), ("scaled_nll", 4))
        for cell, (key, digits) in zip(cells, keys, strict=True):
            pair = by_seed(data, "label embedding beta 0 tau 2 soft_decay 0.75", key), by_seed(data, baseline, key)
            difference = paired_difference(*pair)
            assert difference is not None
            assert difference.low is not None
            assert difference.high is not None
            low, high = f"{difference.low:+.{digits}f}", f"{difference.high:+.{digits}f}"
            assert (seeds, cell) == (str(difference.n), f"{difference.mean:+.{digits}f} ({low} to {high})"), line


@pytest.mark.parametrize(("data", "column"), [("cifar10-small", 1), ("cifar100-small", 2)])
def test_agreement_with_people_is_that_of_the_stored_numbers(data: str, column: int) -> None:
    runs = json.loads((ROOT / "results" / "agreement" / f"{data}.json").read_text(encoding="utf-8"))["results"]
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").partition("## What people confuse")[2]
    table = {
        row[0]: row[column] for line in text.splitlines() if (row := line.strip("| ").split(" | ")) and len(row) == 3
    }
    stored = {
        "Spearman, all directed pairs": [run["spearman"] for run in runs],
        "Spearman by row": [run["row_spearman"] for run in runs],
        "nearest by people is the nearest": [run["top"]["1"] for run in runs],
        "nearest by people among the 3 nearest": [run["top"]["3"] for run in runs],
        "AUC, same superclass against others": [run["auc"] for run in runs],
        "nearest label in the same superclass": [run["nearest_in_group"] for run in runs],
    }
    for name, values in stored.items():
        assert table[name].strip() == ("–" if None in values else f"{mean(values):.3f}"), name
    found = paired_difference(dict(enumerate(stored["Spearman, all directed pairs"])), dict.fromkeys(range(9), 0.0))
    assert found is not None
    assert f"{found.low:.3f} to {found.high:.3f}" in text
    assert all(run["mantel_p"] == 0.0001 for run in runs)


def test_table_of_the_screening_has_the_means_of_its_raw_runs() -> None:
    lines = (ROOT / "results" / "search" / "objective.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    text = (ROOT / "docs" / "do-soft-labels-help.md").read_text(encoding="utf-8")
    header, _, *lines = text.partition("<!-- screen -->\n")[2].partition("<!-- end -->")[0].strip().splitlines()
    data = [cell.split(",")[0] for cell in header.strip("| ").split(" | ")[1::2]]
    assert lines
    for line in lines:
        title, *cells = line.strip("| ").split(" | ")
        method, expected = title.partition("<!-- ")[2].removesuffix(" -->"), []
        for name in data:
            rows = [row for row in runs if (row["data"], row["method"]) == (name, method)]
            expected += [f"{mean(row[key] for row in rows):.1f}" for key in ("valid_error", "valid_ece")]
        assert cells == expected, line


def test_table_of_the_second_search_is_the_mean_of_its_raw_runs() -> None:
    lines = (ROOT / "results" / "search" / "objective.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* <!-- (.*?) --> \| (.*) \|$", text.partition("<!-- objective -->")[2], flags=re.M)
    assert len(rows) == 13
    for candidate, cells in rows:
        for data, cell in zip(("bank5", "bank10", "mnist100", "c16"), cells.split(" | "), strict=True):
            found = [run for run in runs if (run["data"], run["method"]) == (data, candidate)]
            error, ece = (mean(run[key] for run in found) if found else 0 for key in ("valid_error", "valid_ece"))
            assert cell.strip() == (f"{error:.2f} / {ece:.1f} ({len(found)})" if found else ""), (candidate, data)


def test_tables_of_the_agreement_with_people_are_made_from_their_raw_lines() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    tables = text.partition("<!-- benchmarks.people.summary -->\n")[2].partition("\n<!-- end -->")[0]
    assert tables == summary(read(ROOT / "results" / "people" / "nets.jsonl"))


def test_table_of_severity_comes_from_the_stored_predictions() -> None:
    stored = np.load(ROOT / "results" / "severity" / "clinc150-10.npz")
    labels, groups = (torch.from_numpy(stored[name].astype(np.int64)) for name in ("labels", "groups"))

    def by_seed(method: str) -> dict[str, dict[int, float]]:
        found: dict[str, dict[int, float]] = {"errors_in_group": {}, "hierarchical_distance": {}}
        for name in stored.files:
            if name.startswith(f"{method}/"):
                metrics = severity_metrics(torch.from_numpy(stored[name].astype(np.int64)), labels, groups)
                for metric, values in found.items():
                    values[int(name.partition("/")[2])] = metrics[metric]
        return found

    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* <!-- (.*?) --> \| (.*) \|$", text.partition("<!-- severity -->")[2], flags=re.M)
    assert len(rows) == 6
    one_hot = by_seed("cross_entropy")
    for method, cells in rows:
        expected = []
        for metric, digits in (("errors_in_group", 1), ("hierarchical_distance", 4)):
            values = by_seed(method)[metric]
            assert len(values) == 8
            difference = paired_difference(values, one_hot[metric])
            assert difference is not None
            low, high = f"{difference.low:+.{digits}f}", f"{difference.high:+.{digits}f}"
            interval = f"{difference.mean:+.{digits}f} ({low} to {high})"
            expected += [f"{mean(values.values()):.{digits}f}", "–" if method == "cross_entropy" else interval]
        assert cells.split(" | ") == expected, method
    matched, embedding = (by_seed(name)["errors_in_group"] for name in ("matched_smoothing", "label_embedding"))
    structure = paired_difference(embedding, matched)
    assert structure is not None
    assert f"{structure.mean:.1f} points ({structure.low:.1f} to {structure.high:.1f})" in text
    assert f"(p = {structure.p:.3f} for this comparison alone)" in text
