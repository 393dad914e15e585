import os
import signal
from pathlib import Path

import pytest

from labelemb.runs.replace import replace_folder
from tests.processes import run_alone


def die_half_way(path: Path) -> int:
    with replace_folder(path) as filled:
        (filled / "half").write_text("a")
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "corpus[1]"  # a name that a pattern would take for something else
    others = [tmp_path / ".corpus1.abcdefgh.partial", tmp_path / ".corpus[1].b.abcdefgh.partial"]
    for other in others:
        other.mkdir()
    assert run_alone(die_half_way, path) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    assert not path.exists()
    with replace_folder(path) as filled:
        (filled / "whole").write_text("b")
    assert set(tmp_path.iterdir()) == {*others, path}
    assert [file.name for file in path.iterdir()] == ["whole"]


def test_a_folder_whose_replacement_was_killed_is_put_back(tmp_path: Path) -> None:
    """Between the two renames: the old one is away, the new one not yet in its place."""
    left = tmp_path / ".a.12345678.partial"
    for part in ("old", "new"):
        (left / part).mkdir(parents=True)
        (left / part / part).touch()
    with pytest.raises(FileNotFoundError), replace_folder(tmp_path / "a") as filled:
        (filled / "missing" / "new").touch()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_that_is_being_filled_is_left_alone(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "a") as first:
        (first / "first").touch()
        with replace_folder(tmp_path / "a") as second:
            (second / "second").touch()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_after_an_error_the_old_folder_stands_alone(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "a") as filled:
        (filled / "old").touch()
    with pytest.raises(FileNotFoundError), replace_folder(tmp_path / "a") as filled:
        (filled / "missing" / "new").touch()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
