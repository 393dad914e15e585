"""Run a function, a module or a script in processes of its own, alone or as one group, with threads as told."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from labelemb.cli.main import main
from labelemb.training.device import leave_processes
from labelemb.training.engines.local import CONTEXT

# What workers import, and what the commands and the modules of tests import beside it.
CONTEXT.set_forkserver_preload(
    ["labelemb.training.runner", "torch._dynamo", "labelemb.cli.train", "scipy.stats", "pytest"]
)


def run_in_processes(size: int, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(*arguments)`` in each of ``size`` gloo processes, with one thread each.

    The processes are forked from the server of ``labelemb.training.engines.local``, which has imported torch once.
    """
    folder.mkdir(exist_ok=True)
    mp.start_processes(
        _process, args=(size, str(folder / "store"), function, arguments), nprocs=size, start_method="forkserver"
    )


def run_alone(function: Callable[..., int], *arguments: Any) -> int:
    """Return what ``function(*arguments)`` returns, called in a forked process with one thread, or minus a signal."""
    process = CONTEXT.Process(target=_alone, args=(dict(os.environ), function, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads for the length of a ``with`` block.

    Replacing ``torch.get_num_threads`` instead would also make the threads of ``labelemb.ops.parts``, which outlive a
    test, miss the call that fixes their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait_for_end(pid: int) -> None:
    """Wait until a process that is no child of this one has ended, and released its locks.

    Raises:
        AssertionError: It lives for two more minutes.
    """
    deadline = time.monotonic() + 120
    while _lives(Path(f"/proc/{pid}")):
        assert time.monotonic() < deadline, f"process {pid} lives"
        time.sleep(0.02)


def launched(*arguments: str) -> None:
    """Call ``labelemb ARGUMENTS`` in a process of ``run_in_processes``, with the variables that torchrun sets."""
    rank, size = str(dist.get_rank()), str(dist.get_world_size())
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # the group is there already
    assert main(list(arguments)) == 0


def spawn(size: int, *arguments: str) -> str:
    """Run ``torchrun --nproc_per_node=size ARGUMENTS`` with one thread per process, and check that it succeeds.

    Args:
        size: Number of processes.
        arguments: A script, or ``-m`` and a module, with its arguments.

    Returns:
        The standard output.
    """
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={size}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*launch, *arguments], capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _lives(process: Path) -> bool:
    """Return whether a process of ``/proc`` has a thread left; its files stay open until the last one has ended."""
    try:
        return len(os.listdir(process / "task")) > 1 or "State:\tZ" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _alone(environment: dict[str, str], function: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()  # the fork server's environment is that of the first call
    os.environ.update(environment)
    torch.set_num_threads(1)
    sys.exit(function(*arguments))


def _process(rank: int, size: int, store: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    dist.barrier()  # none may end before all are connected
    function(*arguments)
    if dist.is_initialized():  # the command line leaves the group itself
        dist.barrier()
        leave_processes()
