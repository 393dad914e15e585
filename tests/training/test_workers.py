"""Worker processes: failures are isolated and no process is left over."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from labelemb.training.engines import LocalEngine
from labelemb.training.engines.local import ABRUPT
from tests.processes import wait_for_end


def write(path: Path) -> None:
    path.write_text(str(os.getpid()))


def fail() -> None:
    raise RuntimeError("no\nluck")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_failed_or_killed_task_does_not_stop_others(tmp_path: Path) -> None:
    work = [partial(write, tmp_path / "a"), fail, die, partial(write, tmp_path / "b")]
    outcomes = {outcome.number: outcome.failure for outcome in LocalEngine(jobs=1, threads=1).do_all(work) if outcome}
    assert outcomes == {0: None, 1: "RuntimeError: no luck", 2: ABRUPT, 3: None}
    assert (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()


ORPHANS = """
import sys, time
from functools import partial
from pathlib import Path
from labelemb.training.engines import LocalEngine
from tests.training.test_workers import linger
if __name__ == "__main__":
    for outcome in LocalEngine(jobs=1, threads=1).do_all([partial(linger, Path(sys.argv[1]))]):
        pass
"""


def linger(path: Path) -> None:
    write(path)
    time.sleep(60)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    script, child = tmp_path / "parent.py", tmp_path / "child"
    script.write_text(ORPHANS)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, script, child], env=os.environ | {"PYTHONPATH": path})
    deadline = time.monotonic() + 120
    while not (child.exists() and child.read_text()):
        assert time.monotonic() < deadline
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    wait_for_end(int(child.read_text()))


def die_after_answering() -> None:
    threading.Timer(0.1, os._exit, (1,)).start()


def test_worker_killed_between_tasks_loses_no_task(tmp_path: Path) -> None:
    work = [die_after_answering, die_after_answering, *(partial(write, tmp_path / str(number)) for number in range(2))]
    outcomes = {}
    for outcome in LocalEngine(jobs=2, threads=1).do_all(work):
        time.sleep(0.4)  # long enough for the workers to die before they are asked again
        if outcome:
            outcomes[outcome.number] = outcome.failure
    assert outcomes.keys() == {0, 1, 2, 3}
    assert all((tmp_path / str(number)).exists() for number in range(2) if outcomes[number + 2] is None)
