import gzip
import os
import threading
from pathlib import Path

import pytest

from labelemb.errors import DataError
from labelemb.tasks.seq2seq import text_io
from labelemb.tasks.seq2seq.text_io import is_lcsts, lcsts, parallel, read_lines

RELEASE = """\
<doc id=0>
    <human_label>5</human_label>
    <summary>
        林志颖公司疑涉虚假营销
    </summary>
    <short_text>
        日前，方舟子发文
        直指林志颖旗下产品
    </short_text>
</doc>
<doc id=1><human_label>2</human_label><summary>甲</summary><short_text>乙 <b> & 丙</short_text></doc>

<doc id=2>
    <summary>丁</summary>
    <short_text>戊</short_text>
</doc>
"""


def test_plain_and_gzipped_files_give_the_same_lines(tmp_path: Path) -> None:
    content = "\ufeffmột\r\nhai\u2028x\n\nba".encode()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "zipped").write_bytes(gzip.compress(content))
    expected = ["một", "hai\u2028x", "", "ba"]
    assert list(read_lines(tmp_path / "plain")) == list(read_lines(tmp_path / "zipped")) == expected


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"latin, line 2: expected UTF-8, got b'\\xe9'"):
        list(read_lines(tmp_path / "latin"))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(DataError, match="an empty file"):
        list(read_lines(tmp_path / "empty"))
    (tmp_path / "cut").write_bytes(gzip.compress(b"line\n" * 1000)[:-12])
    with pytest.raises(DataError, match="expected a complete gzip file"):
        list(read_lines(tmp_path / "cut"))
    with pytest.raises(DataError, match="No such file"):
        list(read_lines(tmp_path / "missing"))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_devices_are_refused(device: str) -> None:
    with pytest.raises(DataError, match=f"{device}: expected a text file, got a device"):
        list(read_lines(device))


@pytest.mark.parametrize("content", [b"a" * 30, b"a\n" + b"b" * 21 + b"\n", gzip.compress(b"a" * 10**6)])
def test_lines_are_bounded(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_io, "LONGEST_LINE", 20)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match="line [12]: expected at most 20 bytes"):
        list(read_lines(tmp_path / "a"))


@pytest.mark.parametrize("content", [b"one\ntwo\n", gzip.compress(b"one\ntwo\n", mtime=0)])
def test_a_pipe_is_opened_once(content: bytes, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    assert list(read_lines(tmp_path / "pipe")) == ["one", "two"]


@pytest.mark.parametrize("longer", [0, 1])
def test_parallel_files_of_different_lengths_are_refused(longer: int, tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for number, file in enumerate(files):
        file.write_text("line\n" * (5 if number == longer else 3))
    counts = "5 and 3" if longer == 0 else "3 and 5"
    with pytest.raises(DataError, match=f"the same number of lines, got {counts}"):
        list(parallel(*files)())


def test_lcsts_release_format(tmp_path: Path) -> None:
    file = tmp_path / "PART_II.txt"
    file.write_text(RELEASE, encoding="utf-8")
    assert is_lcsts(file)
    first, third = ("日前，方舟子发文 直指林志颖旗下产品", "林志颖公司疑涉虚假营销"), ("戊", "丁")
    assert list(lcsts(file)()) == [first, ("乙 <b> & 丙", "甲"), third]
    assert list(lcsts(file, min_label=3)()) == [first, third]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<doc id=0>\n<summary>x</summary>\n</doc>\n", "document at line 1: expected <short_text>"),
        ("<doc id=0>\n<summary>x</summary>\n", "expected </doc> for the document of line 1, got the end"),
        ("<doc id=0>\n<summary>x</summary>\n<doc id=1>\n", "line 3: expected </doc> for the document of line 1"),
        ("<doc id=0></doc>\nstray\n", "document at line 1: expected <summary>"),
        ("stray\n", "line 1: expected <doc id=...>, got 'stray'"),
        (
            "<doc id=0><human_label>good</human_label><summary>x</summary><short_text>y</short_text></doc>\n",
            "expected a whole human_label, got 'good'",
        ),
        (
            f"<doc id=0><human_label>{'9' * 5000}</human_label><summary>x</summary><short_text>y</short_text></doc>\n",
            "expected a whole human_label, got '999",
        ),
    ],
)
def test_damaged_lcsts_file_is_refused(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(DataError, match=says):
        list(lcsts(tmp_path / "file", 3)())
