"""Device, precision and experiment tracker of a run."""

import os
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import ProjectConfiguration

from labelemb.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def best_precision(device: str) -> Precision:
    """Return ``bf16`` if the hardware multiplies matrices in it, else ``fp32``. ``device`` is "auto" or "cpu"."""
    if device == "auto" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # bf16 emulated in software is slower than fp32, and torch has no public function to tell.
    hardware = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if hardware() else "fp32"


def device_name(device: str) -> str:
    """Return the kind of device that a run uses, without initializing it. ``device`` is "auto" or "cpu"."""
    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_tracker(tracker: str) -> None:
    """Raise ConfigError unless the tracker is "none" or an installed one that Accelerate supports."""
    installed = [kind.value for kind in get_available_trackers()]
    if tracker != "none" and tracker not in installed:
        known = sorted(set(LOGGER_TYPE_TO_CLASS))
        hint = f"pip install {tracker}" if tracker in known else f"Accelerate supports {', '.join(known)}"
        raise ConfigError("tracker", " or ".join(["none", *installed]), repr(tracker), hint)


def make_accelerator(precision: Precision, device: str, tracker: str, folder: Path) -> Accelerator:
    """Return an Accelerator for this process; the launcher decides how many processes there are.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: ``auto`` or ``cpu``.
        tracker: ``none`` or a tracker that Accelerate supports.
        folder: Where the tracker logs.

    Raises:
        ConfigError: The device lacks the precision, the tracker is not installed, or the launched processes do not form
            one group.
    """
    check_tracker(tracker)
    # Accelerate keeps the precision of the first run of a process and refuses another; a sweep may use both.
    AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            # Without a GPU, Accelerate joins the launched processes only if told that this is a CPU job.
            cpu=device == "cpu" or not torch.accelerator.is_available(),
            mixed_precision="no" if precision == "fp32" else precision,
            log_with=None if tracker == "none" else tracker,
            project_config=ProjectConfiguration(logging_dir=str(folder)),
        )
    except ValueError as error:
        raise ConfigError("precision", "one that this device supports", repr(precision), str(error)) from error
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ConfigError("processes", f"{launched}, as launched", accelerator.num_processes)
    return accelerator


# Freeing a group holds Python's lock and waits for the threads of Gloo, which may be waiting for that lock to free a
# tensor of the last collective. A group that has been left is therefore kept until the process ends.
_left: list[object] = []


def leave_processes() -> None:
    """Destroy the process group of a launch, if there is one; call it last."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        _left.append(torch.distributed.group.WORLD)
        torch.distributed.destroy_process_group()
