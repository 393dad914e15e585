"""Provenance of a result: versions, machine, seed and data."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from labelemb.version import __version__


def collect_provenance(seed: int, data_digest: str, device: str) -> dict[str, Any]:
    """Return versions, git commit, machine, threads, seed and data of a result.

    Args:
        seed: Seed of the run.
        data_digest: Digest of the data.
        device: Device name as in torch, such as "cpu" or "cuda:0".
    """
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "labelemb": __version__,
        "git_commit": _git_commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": gpu or _processor(),
        "device": device,
        "threads": torch.get_num_threads(),
        "seed": seed,
        "data_digest": data_digest,
    }


def _git_commit() -> str | None:
    """Return the commit of the checkout this package runs from, with + for local changes; None when installed."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        tracked = subprocess.run(["git", "-C", str(here), "ls-files", "--error-unmatch", __file__], capture_output=True)
        answer = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # no git
        return None
    return answer.stdout.strip() or None if tracked.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
