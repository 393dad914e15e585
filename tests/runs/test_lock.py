"""Leases: one holder at a time on any machine, taken over when their holder is silent, and its loss is noticed."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
from filelock import FileLock

from labelemb.cli.main import main
from labelemb.errors import RunBusyError
from labelemb.runs import RunFolder
from labelemb.runs import lock as locks
from labelemb.runs.lock import LEASE_SECONDS, LeaseLostError, LockBusyError, hold_lease

SECONDS = 0.6


def write_lease(path: Path, seconds: float) -> None:
    """Write the lease of process 7 on another machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"filelock/2\npid=7\nhost=node-4\nmode=lease\ntoken=abc\nduration={seconds}\n")


@contextmanager
def held_elsewhere(path: Path, seconds: float) -> Iterator[None]:
    """Touch the lease of another machine every tenth of a second."""
    write_lease(path, seconds)
    done = Event()

    def touch() -> None:
        while not done.wait(0.1):
            os.utime(path)

    thread = Thread(target=touch)
    thread.start()
    yield
    done.set()
    thread.join()


def check_for(seconds: float, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        time.sleep(0.05)


def test_a_lease_has_one_holder_and_ends_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with hold_lease(path, SECONDS) as check:
        with pytest.raises(LockBusyError), hold_lease(path, SECONDS):
            pass
        check()
    assert not path.exists()
    with hold_lease(path, SECONDS):
        pass


def test_a_lease_of_another_machine_is_taken_over_only_when_it_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with held_elsewhere(path, SECONDS), pytest.raises(LockBusyError), hold_lease(path, SECONDS):
        pass
    start = time.monotonic()
    with hold_lease(path, SECONDS):
        assert time.monotonic() - start >= SECONDS


def test_a_lease_that_was_taken_over_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with hold_lease(path, SECONDS) as check:
        other = tmp_path / "other"
        write_lease(other, SECONDS)
        other.replace(path)
        with pytest.raises(LeaseLostError):
            check_for(30, check)
    assert "node-4" in path.read_text()  # the new holder keeps it


def test_where_the_disk_has_no_locks_the_lease_protects_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(next(iter(locks.UNSUPPORTED)), "no locks available")

    monkeypatch.setattr(FileLock, "acquire", unsupported)
    monkeypatch.setattr("labelemb.runs.folder.hold_lease", partial(hold_lease, seconds=SECONDS))
    run = RunFolder(tmp_path)
    with (
        held_elsewhere(run.lease_file, SECONDS),
        pytest.raises(RunBusyError, match="process 7 on node-4"),
        run.locked(),
    ):
        pass
    with run.locked():
        pass


def test_a_busy_run_has_an_exit_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    with held_elsewhere(run.lease_file, LEASE_SECONDS):
        code = main(["train", "digits", "--epochs", "1", "--threads", "1", "--device", "cpu", "--out", str(tmp_path)])
    assert code == 3
    assert "in use by process 7 on node-4" in capsys.readouterr().err
    assert not run.config_file.exists()
