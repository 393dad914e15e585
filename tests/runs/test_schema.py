"""Run-folder files with valid syntax and wrong values, and YAML and JSON meant to do harm."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelemb.documents import DEEPEST, LARGEST_YAML, parse_json, parse_yaml, read_bounded
from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.runs.history import check_history

LINES = [{"epoch": 1, "step": 5, "terms": {"hard": 0.5}, "test_error": 9.0}, {"epoch": 2, "step": 10, "terms": {}}]
INFINITE = [float("nan"), float("inf"), -float("inf")]
BAD_NUMBERS = ["1", None, True, [1], {"a": "b"}]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def refused(read: Callable[[], object], path: Path | str = "") -> str:
    with pytest.raises(DataError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


class TestHistory:
    @pytest.mark.parametrize("value", BAD_NUMBERS)
    @pytest.mark.parametrize("key", ["epoch", "step", "test_error", "terms.hard"])
    def test_values(self, tmp_path: Path, key: str, value: Any) -> None:
        if key == "test_error" and value == {"a": "b"}:
            value = {"a": {}}
        line: dict[str, Any] = {"epoch": 1, "step": 5, "terms": {}}
        if "." in key:
            line["terms"]["hard"] = value
        else:
            line[key] = value
        run = RunFolder(tmp_path)
        run.history_file.write_text(json.dumps(line) + "\n", encoding="utf-8")
        message = refused(run.history, run.history_file)
        assert "line 1" in message
        assert key in message

    @pytest.mark.parametrize("change", [{key: value} for key in ("epoch", "step") for value in (0, -1, 1.5, *INFINITE)])
    def test_ranges(self, tmp_path: Path, change: dict[str, Any]) -> None:
        refused(lambda: check_history(tmp_path, [LINES[0] | change]), "line 1")

    def test_a_diverged_run_is_read(self, tmp_path: Path) -> None:
        check_history(tmp_path, [LINES[0] | {"test_error": value, "terms": {"hard": value}} for value in INFINITE[:1]])

    @pytest.mark.parametrize("order", [(0, 0), (1, 0), (0, 1, 1), (1, 1)])
    def test_order(self, tmp_path: Path, order: tuple[int, ...]) -> None:
        refused(lambda: check_history(tmp_path, [LINES[index] for index in order]), f"line {len(order)}")

    @given(st.lists(JSON_VALUES, max_size=3))
    def test_any_json(self, lines: list[Any]) -> None:
        try:
            check_history(Path("history.jsonl"), lines)
        except DataError as error:
            assert "history.jsonl, line" in str(error)  # noqa: PT017
        else:
            assert all(line["epoch"] >= 1 for line in lines)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {}, {"a": 1}, [[1]], [{"a": 1}]])
def test_config_values(tmp_path: Path, value: Any) -> None:
    run = RunFolder(tmp_path)
    run.open({"epochs": value}, {})
    assert "epochs" in refused(run.config, run.config_file)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("resumed", value) for value in ("text", 1, None, {}, ["text"], [[]], [{"a": []}], [{"a": float("nan")}])),
        *(("threads", value) for value in ("1", 0, -1, 1.5, True, None)),
        *(("seed", value) for value in ("1", -1, 1.5, None)),
        *((key, value) for key in ("torch", "machine", "data_digest", "note") for value in (1, None, [])),
    ],
)
def test_signature_values(tmp_path: Path, key: str, value: Any) -> None:
    run = RunFolder(tmp_path)
    run.open({}, {"data_digest": "a"})
    run.signature_file.write_text(json.dumps({"data_digest": "a", key: value}))
    assert key in refused(run.signature, run.signature_file)
    refused(lambda: run.open({}, {"data_digest": "a", "machine": "b"}), run.signature_file)


@settings(max_examples=50)
@given(content=JSON_VALUES)
def test_other_files_of_any_json(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    run = RunFolder(tmp_path_factory.mktemp("run"))
    readers = {
        run.scores_file: run.scores,
        run.errors_by_label_file: run.errors_by_label,
        run.signature_file: run.signature,
        run.config_file: run.config,
    }
    for path, read in readers.items():
        path.write_text(json.dumps(content), encoding="utf-8")
        try:
            assert isinstance(read(), dict)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]",
        "a: &x 1\nb: *x",
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 10_000 + "a",
        "a: 2001-99-99",
        "a: !!int abc",
        "a: !!int ''",
        "a: !!float x",
        "a: !!bool x",
        "a: !!timestamp x",
        "a: !!binary x",
        "a: !!python/object/apply:os.system [ls]",
        "a: !unknown 1",
        "a: 1\na: 2",
        "? [1]\n: 2",
        "<<: 1",
        "a: 'x",
        "a: \x00",
        "%YAML 9.9\n---\na: 1",
        "a: 1\n---\nb: 2",
        f"a: {'9' * 5000}",
        "x" * (LARGEST_YAML + 1),
    ],
)
def test_hostile_yaml(text: str) -> None:
    refused(lambda: parse_yaml(text, "preset.yaml", "a preset"), "preset.yaml")


@given(st.text(max_size=40) | st.text("[]{}:-&*!?|>'\"%@#,ab1 \n", max_size=40))
def test_any_yaml(text: str) -> None:
    try:
        parse_yaml(text, "preset.yaml", "a preset")
    except DataError as error:
        assert "preset.yaml" in str(error)  # noqa: PT017


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "\x00", "nan", "9" * 5000, "'a'"])
def test_hostile_json(text: str) -> None:
    refused(lambda: parse_json(text, "data.json", "a description"), "data.json")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"a" * 11)
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (
        tmp_path / "fifo",
        tmp_path,
        Path("/dev/zero"),
        tmp_path / "large",
        tmp_path / "latin",
        tmp_path / "loop",
    ):
        refused(lambda path=path: read_bounded(path, "a text", largest=10), path)
