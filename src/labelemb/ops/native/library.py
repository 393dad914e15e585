"""Compiles the C files of this directory with the machine's compiler, once per user, compiler, processor and source.

The library is kept in ``native`` in the cache directory, which nobody else may be able to write to. Nothing but this
package's own source is compiled, and the compiler is started without a shell.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

from torch import Tensor

from labelemb.files import cache_folder, write_atomically

SWITCH = "LABELEMB_NATIVE"  # environment variable: 0 = never; 1 = warn if it is not possible; not set = where possible
SOURCES = sorted(Path(__file__).parent.glob("*.c"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
FLAGS = (
    *("-std=gnu11", "-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"),
    *("-ffp-contract=fast", "-fPIC", "-shared"),
)
TIMEOUT = 120  # seconds for the compiler; it takes about one


@cache
def load_library() -> ctypes.CDLL | None:
    """Return the compiled kernels; None where there are none, with a warning if ``LABELEMB_NATIVE=1`` asks for them."""
    wanted = os.environ.get(SWITCH, "")
    if wanted == "0":
        return None
    try:
        return ctypes.CDLL(str(_compiled()))
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        if wanted:
            reason = " ".join(str(error).split())
            warnings.warn(f"{SWITCH}={wanted}: no native kernels, PyTorch's are used: {reason}", stacklevel=2)
        return None


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Return the address of a contiguous tensor, NULL for None."""
    assert tensor is None or tensor.is_contiguous()
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _compiled() -> Path:
    """Return the path of the library, compiled if it is not in the cache.

    Raises:
        OSError: Not on Linux, no compiler, one that fails, or the cache directory cannot be used.
        RuntimeError: The user has no home directory.
        ValueError: $CC has an unclosed quotation mark.
        subprocess.TimeoutExpired: The compiler takes longer than ``TIMEOUT``.
    """
    if sys.platform != "linux":
        raise OSError("not on Linux")
    compiler = _compiler()
    # Names the version of the compiler and each instruction set that -march=native stands for.
    target = _run([*compiler, *FLAGS, "-dM", "-E", "-x", "c", os.devnull])
    texts = [path.read_bytes() for path in (*SOURCES, *HEADERS)]
    key = hashlib.sha256(b"\0".join([*texts, " ".join(FLAGS).encode(), target])).hexdigest()
    folder = _private_folder(cache_folder() / "native")
    path = folder / f"{key[:32]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:  # of this process: others may compile at the same time
            built = Path(scratch, "library.so")
            _run([*compiler, *FLAGS, *map(str, SOURCES), "-o", str(built), "-lm"])
            write_atomically(path, lambda file: file.write(built.read_bytes()))
    return path


def _compiler() -> list[str]:
    """Return the command of the C compiler: $CC, or the first of cc, gcc and clang."""
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in (chosen,) if chosen else (["cc"], ["gcc"], ["clang"]):
        if found := shutil.which(command[0]):
            return [found, *command[1:]]
    raise OSError("no C compiler: neither $CC nor cc, gcc or clang")


def _run(command: list[str]) -> bytes:
    """Return the output of a program.

    Raises:
        OSError: It fails.
        subprocess.TimeoutExpired: It takes longer than ``TIMEOUT``.
    """
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT)
    if done.returncode:
        message = done.stderr.decode(errors="replace").splitlines()
        raise OSError(f"{command[0]}: exit code {done.returncode} {message[0] if message else ''}")
    return done.stdout


def _private_folder(folder: Path) -> Path:
    """Return a folder for code that is to be run, made if it is not there.

    Raises:
        OSError: It cannot be made, is not this user's, or others may write to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise OSError(f"{folder} belongs to another user or can be written to by others")
    return folder
