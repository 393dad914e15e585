"""Image files that are not what their name says, damaged or far too large: one error, and no other program runs."""

import io
import struct
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from labelemb.errors import ConfigError, DataError
from labelemb.tasks.vision.datasets.decode import FORMATS, MAX_PIXELS, decode, read_image

Image.init()
OTHER_FORMATS = sorted(set(Image.SAVE) - set(FORMATS) - {"WMF", "GRIB", "HDF5", "BUFR", "IM"})
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) (w) file\nshowpage\n%%EOF\n"


def encoded(name: str) -> bytes:
    buffer = io.BytesIO()
    for mode in ("RGB", "L", "1"):
        buffer.seek(0)
        try:
            Image.new(mode, (16, 16)).save(buffer, format=name)
        except (OSError, ValueError, KeyError):
            continue
        return buffer.getvalue()
    pytest.skip(f"this Pillow cannot write {name}")


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.mark.parametrize("name", FORMATS)
def test_supported_formats(name: str) -> None:
    assert read_image(encoded(name), 3, None).shape == (3, 16, 16)


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_other_formats_are_refused_whatever_the_suffix(name: str, tmp_path: Path) -> None:
    content = encoded(name)
    if name in ("JPEG2000", "MPO") and content[:3] == b"\xff\xd8\xff":
        return  # an MPO file with one picture is a JPEG file
    (tmp_path / "a.png").write_bytes(content)
    for source in (content, tmp_path / "a.png"):
        with pytest.raises(DataError, match="expected an image"):
            read_image(source, 3, None)


@pytest.mark.usefixtures("no_programs")
def test_postscript_is_not_executed() -> None:
    with pytest.raises(DataError, match="expected an image"):
        read_image(EPS, 1, (8, 8))


@pytest.mark.parametrize("size", [(MAX_PIXELS + 1, 1), (10_000, 9_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="expected an image") as caught:
        read_image(png_header(*size), 1, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_of_each_format(name: str) -> None:
    content = encoded(name)
    cut = [content[: len(content) * part // 8] for part in range(8)]
    changed = [content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :] for at in range(0, len(content), 7)]
    for damaged in cut + changed:
        with suppress(DataError):  # some damage does not show
            read_image(damaged, 3, (8, 8))


def test_images_that_do_not_fit_into_memory() -> None:
    content = encoded("PNG")
    with pytest.raises(ConfigError, match="data: expected what fits into .* of memory, got .* images of"):
        decode([content] * 50_000_000, 3, (4000, 4000), "train")
