"""Leaving a process group."""

import gc
import weakref
from pathlib import Path

import torch.distributed as dist

from labelemb.training.device import leave_processes
from tests.processes import run_in_processes


def check_that_the_group_is_kept() -> None:
    group = weakref.ref(dist.group.WORLD)
    leave_processes()
    gc.collect()
    assert not dist.is_initialized()
    assert group() is not None


def test_a_group_that_was_left_is_not_freed(tmp_path: Path) -> None:
    """Freeing it could wait forever for a thread of Gloo that needs Python's lock."""
    run_in_processes(1, tmp_path / "group", check_that_the_group_is_kept)


def test_without_a_group_nothing_happens() -> None:
    leave_processes()
    assert not dist.is_initialized()
