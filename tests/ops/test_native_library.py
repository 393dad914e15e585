"""The compiler of the native kernels: its cache, what it refuses, and what happens without it."""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from labelemb.ops.chunked.native_kernels import NativeRowKernels
from labelemb.ops.native import library
from tests.processes import run_alone

from .vocabulary import Case, assert_matches_eager

pytestmark = pytest.mark.skipif(
    not NativeRowKernels.can_process({torch.float32}, torch.device("cpu")), reason="no C compiler"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache directory, and a library that is not loaded yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(library.SWITCH, raising=False)
    library.load_library.cache_clear()
    yield tmp_path / "labelemb" / "native"
    library.load_library.cache_clear()


def load() -> int:
    library.load_library.cache_clear()  # the import of this module has called it
    return int(library.load_library() is None)


def test_is_compiled_once_into_a_private_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run_alone, (load, load))) == [0, 0]
    (built,) = cache.iterdir()
    assert cache.stat().st_mode & 0o777 == 0o700
    before = built.stat()
    assert library.load_library() is not None
    assert built.stat().st_mtime_ns == before.st_mtime_ns
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-O1"))  # other flags, another library
    library.load_library.cache_clear()
    assert library.load_library() is not None
    assert len(list(cache.iterdir())) == 2


def test_instruction_sets_without_fused_multiply_add(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = tuple(flag for flag in library.FLAGS if flag != "-march=native")
    monkeypatch.setattr(library, "FLAGS", flags)
    for dtype in (torch.float32, torch.bfloat16):
        assert_matches_eager(Case(n=29, v=41, d=7, r=3, u=41), "chunked", dtype)


def test_the_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.load_library() is None
    assert not cache.exists()
    assert_matches_eager(Case(), "chunked", torch.float32)


def without_compiler(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)


def compiler_that_fails(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CC", "false -x")


def compiler_with_an_unclosed_quotation(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CC", "cc '")


def user_without_a_home(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)


def cache_of_others(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)


def cache_that_is_a_link(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.symlink_to("/tmp")


def cache_that_is_a_file(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cache.parent.parent.joinpath("labelemb").touch()


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        (without_compiler, "no C compiler"),
        (compiler_that_fails, "false: exit code 1"),
        (compiler_with_an_unclosed_quotation, "No closing quotation"),
        (user_without_a_home, "home directory"),
        (cache_of_others, "belongs to another user or can be written to by others"),
        (cache_that_is_a_link, "belongs to another user"),
        (cache_that_is_a_file, "File exists|Not a directory"),
    ],
)
def test_without_it_torch_does_the_work(
    obstacle: object, reason: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    obstacle(monkeypatch, cache)  # type: ignore[operator]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_matches_eager(Case(), "chunked", torch.float32)
    library.load_library.cache_clear()
    monkeypatch.setenv(library.SWITCH, "1")
    with pytest.warns(UserWarning, match=reason):
        assert library.load_library() is None
