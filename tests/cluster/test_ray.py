"""Runs on a Ray cluster of three nodes that loses a worker, a node and its driver: the bits of a single process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from labelemb.runs import RunFolder, find_runs
from labelemb.training.checkpoint import load_checkpoint
from tests.training.test_training import metrics

pytest.importorskip("ray", reason="needs pip install 'labelemb[cluster]'")
pytestmark = [  # of Ray itself
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
TRAIN = ["train", "digits", "--epochs", "40", "--batch_size", "100", "--width", "64", "--device", "cpu"]
TRAIN += ["--channels_last", "false", "--method", "cross_entropy,label_embedding", "--threads", "1"]
# Without a token of this user's, and with workers as urgent as other processes.
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def start(out: Path, *options: str, address: str = "") -> "subprocess.Popen[str]":
    environment = {**os.environ, **RAY, "RAY_ADDRESS": address, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "labelemb", *TRAIN, "--out", str(out), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs, one after another in one process."""
    out = tmp_path_factory.mktemp("reference")
    finish(start(out, "--seeds", "3"))
    return out


def assert_all_same(reference: Path, out: Path) -> None:
    runs = find_runs([out])
    assert len(runs) == 6
    for run in runs:
        assert run.finished
        assert run.signature()["threads"] == 1
        same = RunFolder(reference / run.path.relative_to(out))
        assert metrics(same) == metrics(run)
        one, other = load_checkpoint(same.last_checkpoint), load_checkpoint(run.last_checkpoint)
        assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
        assert all(torch.equal(value, other["loss"][name]) for name, value in one["loss"].items())


def wait_for(find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 300
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def running(out: Path) -> dict[int, Path]:
    """Return process id -> run folder of the runs that have trained for an epoch or more and go on."""
    found = {}
    for lease in out.glob("digits/*/*/.lease"):
        run = RunFolder(lease.parent)
        text = lease.read_text() if lease.exists() else ""
        if "pid=" in text and run.last_checkpoint.exists() and not run.finished:
            found[int(text.partition("pid=")[2].split()[0])] = run.path
    return found


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_worker_and_a_node_are_lost(cluster: Any, reference: Path, tmp_path: Path) -> None:
    driver = start(tmp_path, "--seeds", "3", "--engine", "ray", address=cluster.address)
    killed = wait_for(lambda: list(running(tmp_path)))[0]
    os.kill(killed, 9)

    def node_at_work() -> Any:
        raylets = {node.all_processes["raylet"][0].process.pid: node for node in cluster.worker_nodes}
        return next((raylets[p] for p in map(parent_of, running(tmp_path)) if p in raylets), None)

    cluster.remove_node(wait_for(node_at_work), allow_graceful=False)
    finish(driver)
    assert_all_same(reference, tmp_path)


def test_the_driver_is_lost_and_the_same_command_goes_on(cluster: Any, reference: Path, tmp_path: Path) -> None:
    driver = start(tmp_path, "--seeds", "3", "--engine", "ray", address=cluster.address)
    wait_for(lambda: running(tmp_path))
    driver.kill()
    driver.wait()
    assert not all(run.finished for run in find_runs([tmp_path]))
    finish(start(tmp_path, "--seeds", "3", "--engine", "ray", address=cluster.address))
    assert_all_same(reference, tmp_path)
