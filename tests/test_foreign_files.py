"""Files of unknown origin: whatever is in them, reading them works or is one DataError."""

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelemb import array_files
from labelemb.array_files import read_arrays
from labelemb.errors import DataError
from labelemb.tasks.vision.datasets.mnist import parse_idx
from labelemb.tasks.vision.datasets.unpickle import unpickle_plain
from labelemb.tensor_files import read_tensors
from tests.campaign.readers import READERS, mutated


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        packed.writestr("a.npy", content)
    return file.getvalue()


HEADER = "{'descr':'%s','fortran_order':False,'shape':%s}"
ARRAYS = {
    "nothing": b"",
    "text": b"text",
    "huge": npy(HEADER % ("<f8", (10**9, 10**9))),
    "huge in a zip": archive(npy(HEADER % ("<f8", (10**13,)))),
    "objects": npy(HEADER % ("|O", (1,)), pickle.dumps([1])),
    "a pickle": pickle.dumps(np.zeros(1)),
    "no dtype": npy(HEADER % ("<x9", (1,))),
    "code for a header": npy("__import__('os').getpid()"),
    "half": archive(npy(HEADER % ("<f8", (99,)), bytes(792)))[:150],
    "text in a zip": archive(b"text").replace(b"a.npy", b"a.txt"),
    "unknown compression": archive(npy(HEADER % ("<f8", (1,)), bytes(8))).replace(b"\x08\0", b"\x63\0"),
    "encrypted": archive(b"x" * 99, zipfile.ZIP_STORED).replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    try:
        read_arrays(tmp_path / "a.npz", "arrays")
    except DataError as error:
        assert "a.npz: expected arrays, got " in str(error)  # noqa: PT017
        assert "allow_pickle" not in str(error)  # noqa: PT017 - no advice to load it all the same


def test_what_arrays_unpack_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LARGEST", 10**5)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**5))
    with pytest.raises(DataError, match="more than 100,000 bytes"):
        read_arrays(tmp_path / "a.npz", "arrays")


@pytest.mark.parametrize("name", READERS)
def test_valid_and_changed_bytes(name: str, tmp_path: Path) -> None:
    draw, valid = random.Random(name), READERS[name].valid
    for content in (valid, *(mutated(valid, draw) for _ in range(40))):
        assert READERS[name](content, tmp_path) == "", content


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/mem", "/", "/nonexistent"])
@pytest.mark.parametrize("read", [read_arrays, read_tensors])
def test_no_files(read: Callable[[Path, str], object], path: str) -> None:
    with pytest.raises(DataError, match=f"{path}: expected a file, got"):
        read(Path(path), "a file")


@pytest.mark.parametrize(
    "lengths", [[2**23, 2**25, 2**25], [2**32 - 1] * 8, [1] * 9, [0, *[2**32 - 1] * 7], [2, 2, 3], [1] * 255]
)
def test_lengths_of_idx_files(lengths: list[int]) -> None:
    """Their product must not be taken modulo 2**64."""
    content = struct.pack(f">BBBB{len(lengths)}I", 0, 0, 8, len(lengths), *lengths)
    with pytest.raises(DataError, match="IDX file"):
        parse_idx(content + b"\0" * (len(lengths) > 8))


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x7f", b"rTTTT", b"p999999999\n", b"q\xff", b"p-1\n"])
def test_numbers_of_objects_in_pickles(put: bytes) -> None:
    """The unpickler of C makes room for as many objects as the largest number: 43 bytes took 22 GB."""
    with pytest.raises(DataError, match="object -?[0-9]+ after 0 others"):
        unpickle_plain(b")" + put + b".", "batch")
