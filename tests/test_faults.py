"""A disk that is full at any moment: the error names the file, and what was there before is untouched."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from labelemb import files
from labelemb.cli.main import guarded
from labelemb.files import write_atomically, write_text, write_together
from labelemb.report.export import export_embedding
from labelemb.runs import RunFolder
from labelemb.runs.replace import replace_folder
from labelemb.tensor_files import write_tensors
from labelemb.terms.embedding import DenseLabelEmbedding
from labelemb.training.checkpoint import save_checkpoint

WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, "text " * 1000),
    "checkpoint": lambda path: save_checkpoint(path, {"model": {"weight": torch.zeros(1000)}}),
    "tensors": lambda path: write_tensors(path, {"weight": torch.zeros(1000)}, {"a": "b"}),
    "numpy": lambda path: write_atomically(path, lambda file: np.save(file, np.zeros(1000))),
    "figure": lambda path: write_atomically(path, lambda file: Figure().savefig(file, format="svg")),
    "picture": lambda path: write_atomically(path, lambda file: Image.new("RGB", (99, 99)).save(file, format="png")),
    "embedding": lambda path: DenseLabelEmbedding(30).save(path, [str(i) for i in range(30)]),
    "csv": lambda path: export_embedding(DenseLabelEmbedding(30), "csv", path),
    "safetensors": lambda path: export_embedding(DenseLabelEmbedding(30), "safetensors", path),
    "history": lambda path: RunFolder(path.parent).write_history([{"epoch": 1}]),
}


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int, code: int = errno.ENOSPC) -> None:
    """Let writes of ``files`` fail after some bytes."""
    written = 0
    write = files._File.write

    def limited(self: Any, data: Any) -> int:
        nonlocal written
        written += len(data)
        if written > room:
            error = OSError(code, os.strerror(code))
            self.error = self.error or error
            raise error
        return write(self, data)

    monkeypatch.setattr(files._File, "write", limited)


@pytest.mark.parametrize("room", [0, 100])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, room: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("old")
    fill_disk(monkeypatch, room if name != "history" else 0, code)
    with pytest.raises(OSError, match=path.name) as caught:
        WRITERS[name](path)
    assert caught.value.errno == code
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_disk(monkeypatch, 0)
    assert guarded(lambda arguments: write_text(tmp_path / "a", "b") or 0, []) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{tmp_path / 'a'}: expected" in said
    assert "no space left on device" in said


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "history"])
def test_files_have_the_permissions_of_the_umask(name: str, mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        WRITERS[name](tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    """The order of metadata in safetensors is random: several tries show it."""
    metadata = {f"key {number}": str(number) for number in range(20)}
    for number in range(3):
        write_tensors(tmp_path / str(number), {"a": torch.ones(3), "b": torch.zeros(2)}, metadata)
    assert len({(tmp_path / str(number)).read_bytes() for number in range(3)}) == 1


def test_a_link_that_was_planted_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone who guesses the temporary name gets an error instead of a file elsewhere."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "guessed")
    (tmp_path / f".a.{files._HOST}.guessed.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "a", "text")
    assert not (tmp_path / "elsewhere").exists()


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(tmp_path / "fifo", "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="/dev/full"):
            write_text("/dev/full", "text")


@pytest.mark.parametrize("out", [".", "./", "..", "a/..", "./a", "a/"])
def test_paths_of_a_folder(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "outer" / "inner"
    (here / "a").mkdir(parents=True)
    monkeypatch.chdir(here)
    target = Path(out).resolve()
    with replace_folder(out) as filled:
        (filled / "new").touch()
    assert [file.name for file in target.iterdir()] == ["new"]


def test_no_room_for_a_folder_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    fill_disk(monkeypatch, 0)
    with pytest.raises(OSError, match="new file"), replace_folder(tmp_path / "a") as filled:
        write_text(filled / "new file", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize("name", ["a", "another", "new\nline", ".a"])
def test_what_killed_processes_left_goes_with_the_next_file(name: str, tmp_path: Path) -> None:
    left = {host: tmp_path / f".{name}.{host}.{'0' * 16}.partial" for host in (files._HOST, "0" * 8, "1" * 8)}
    for file in left.values():
        file.write_text("half")
    os.utime(left["0" * 8], (0, 0))  # another machine's, from long ago
    (tmp_path / ".mine.partial").touch()
    write_text(tmp_path / "a", "text")
    assert set(tmp_path.iterdir()) == {tmp_path / "a", tmp_path / ".mine.partial", left["1" * 8]}


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"first")
        write_text(tmp_path / "b", "second")

    write_atomically(tmp_path / "a", write)
    assert (tmp_path / "a").read_text() == "first"


def test_half_a_write_is_no_file(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        write_atomically(tmp_path / "a", fail)
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    """Stands for the end of the process; cleaning up is all that may follow."""


def fill(text: str) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(text.encode())


@pytest.mark.parametrize("moment", range(4))
def test_files_that_belong_together(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds the last file finds all of them, of one call, whatever the moment of a kill."""
    names = [tmp_path / name for name in ("a", "folder/b", "last")]
    write_together({name: fill("old") for name in names})
    replace, left = os.replace, moment

    def dying(source: Path, target: Path) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with suppress(Killed):
        write_together({name: fill("new") for name in names})
    assert not names[-1].exists() or {name.read_text() for name in names} == {"new"}
    assert names[-1].exists() == (moment == 3)


@pytest.mark.parametrize("to", ["npy", "tensorboard"])
def test_a_full_disk_leaves_the_old_export_whole(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "labels.npy"
    export_embedding(DenseLabelEmbedding(30), to, out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) > 1
    for room in (0, 100, 3000):
        with monkeypatch.context() as patch:
            fill_disk(patch, room)
            with pytest.raises(OSError, match="labels"):
                export_embedding(DenseLabelEmbedding(31), to, out)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_complete_temporary_file_stays_until_it_is_renamed(tmp_path: Path) -> None:
    """Another process that writes to the same folder takes no part of several files for a leftover."""
    write_together({tmp_path / "a": fill("a"), tmp_path / "b": lambda file: write_text(tmp_path / "c", "c")})
    assert (tmp_path / "a").read_text() == "a"
