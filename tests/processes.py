"""Run a function, a module or a script in several processes of one group."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_in_processes(size: int, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(*arguments)`` in each of ``size`` gloo processes, with one thread each.

    The processes are forked from a server that has imported torch once.
    """
    folder.mkdir(exist_ok=True)
    multiprocessing.set_forkserver_preload(["torch", "labelemb", function.__module__])
    mp.start_processes(
        _process, args=(size, str(folder / "store"), function, arguments), nprocs=size, start_method="forkserver"
    )


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


def _process(rank: int, size: int, store: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    dist.barrier()  # none may end before all are connected
    function(*arguments)
    dist.barrier()
    dist.destroy_process_group()
