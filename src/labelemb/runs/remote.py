"""Run folders at URLs, such as s3://bucket/runs: trained in a local staging folder and copied at each evaluation.

fsspec opens the URLs. The lock of a run lies in its staging folder, which is the same for equal URLs on one machine: a
second command on this machine finds the run busy, but one on another machine does not.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import fsspec

from labelemb.errors import ConfigError, DataError, LabelembError
from labelemb.files import cache_folder, is_url, write_atomically
from labelemb.runs.folder import RunFolder

CHECKPOINTS = "*.pt"


def staging_folder(url: str) -> Path:
    """Return the local folder that holds the copies of what is at a URL."""
    url = url.rstrip("/")
    return cache_folder() / "staging" / hashlib.sha256(url.encode()).hexdigest()[:16] / url.rpartition("/")[2]


def check_url(url: str) -> None:
    """Raise ConfigError unless fsspec can open a URL; nothing is written."""
    with _named("out"):
        files, path = fsspec.core.url_to_fs(url)
        files.exists(path)


def download(url: str, folder: Path, checkpoints: bool = True) -> set[Path]:
    """Copy all files below a URL into a folder; return their paths.

    Args:
        url: URL of a folder.
        folder: Where to copy them. Each file is replaced as a whole.
        checkpoints: Whether to copy ``*.pt`` as well.

    Raises:
        ConfigError: The URL cannot be read.
        DataError: A file would be copied to another place than below the folder.
    """
    copied = set()
    with _named("URL"):
        files, root = fsspec.core.url_to_fs(url)
        for path in files.find(root) if files.exists(root) else []:
            name = PurePosixPath(path[len(root) :].lstrip("/"))
            if ".." in name.parts or "\\" in str(name):  # keys of an object store can be anything
                raise DataError(url, "names of files below it", str(name))
            local = folder / name
            if checkpoints or not local.match(CHECKPOINTS):
                write_atomically(local, partial(_write, content=files.cat_file(path)))
                copied.add(local)
    return copied


def upload(folder: Path, url: str, sent: dict[Path, tuple[int, int]] | None = None) -> None:
    """Copy the files of a folder to a URL; config.yaml, which marks a run, and finished.json are copied last.

    Args:
        folder: Folder to copy, hidden files aside.
        url: URL of the folder to copy to.
        sent: Time and size of what was copied before; those that have not changed are left out, the rest is added.

    Raises:
        ConfigError: The URL cannot be written.
    """
    sent = {} if sent is None else sent
    with _named("out"):
        files, root = fsspec.core.url_to_fs(url)
        found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        for path in sorted(found, key=lambda path: (path.name == "finished.json", path.name == "config.yaml", path)):
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if sent.get(path) != state:
                target = f"{root}/{path.relative_to(folder).as_posix()}"
                files.makedirs(target.rpartition("/")[0], exist_ok=True)
                files.pipe_file(target, path.read_bytes())
                sent[path] = state


def local_copy(source: str, checkpoints: bool = True) -> Path:
    """Return the path itself, or for a URL a folder with copies of what is there. Raises DataError for an empty one."""
    if not is_url(source):
        return Path(source)
    folder = staging_folder(source)
    if not download(source, folder, checkpoints):
        raise DataError(source, "a folder with files in it", "none")
    return folder


@dataclass(frozen=True)
class StagedRun(RunFolder):
    """A run folder at a URL, with a local copy to work on.

    Args:
        path: The local copy.
        url: URL of the run folder.
    """

    url: str = ""
    _sent: dict[Path, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    def fetch(self, checkpoints: bool = True) -> None:
        """Replace the local copy by what is at the URL, where there is a run; a complete copy stays as it is."""
        if self.finished:
            return
        copied = download(self.url, self.path, checkpoints)
        if copied and checkpoints:
            for path in set(self.path.rglob("*")) - copied:
                if path.is_file() and not path.name.startswith("."):
                    path.unlink()

    def publish(self) -> None:
        """Copy what has changed to the URL."""
        upload(self.path, self.url, self._sent)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


@contextmanager
def _named(argument: str) -> Iterator[Any]:
    """Raise ConfigError for whatever fsspec and the file systems behind it raise."""
    try:
        yield
    except LabelembError:
        raise
    except Exception as error:
        hint = "Each kind of URL needs its package, such as s3fs for s3://"
        raise ConfigError(argument, "a URL that fsspec can use", f"{type(error).__name__}: {error}", hint) from error
