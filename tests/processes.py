"""Run a function in several gloo processes, forked from a server that has imported torch once."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_in_processes(size: int, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(*arguments)`` in each of ``size`` processes of one group, with one thread each."""
    folder.mkdir(exist_ok=True)
    multiprocessing.set_forkserver_preload(["torch", "labelemb", function.__module__])
    mp.start_processes(
        _process, args=(size, str(folder / "store"), function, arguments), nprocs=size, start_method="forkserver"
    )


def _process(rank: int, size: int, store: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    dist.barrier()  # none may end before all are connected
    function(*arguments)
    dist.barrier()
    dist.destroy_process_group()
