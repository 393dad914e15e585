"""Where a run computes, in which precision, and what it reports to."""

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
    """Return bf16 where the hardware multiplies matrices in it, else fp32. ``device``: "auto" or "cpu"."""
    if device == "auto" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    # Software bf16 is slower than fp32, and torch has no public question for the instructions.
    hardware = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if hardware() else "fp32"


def check_tracker(tracker: str) -> None:
    """Raise ConfigError unless the tracker is "none" or one that Accelerate knows and finds installed."""
    installed = [kind.value for kind in get_available_trackers()]
    if tracker != "none" and tracker not in installed:
        known = sorted(set(LOGGER_TYPE_TO_CLASS))
        hint = f"pip install {tracker}" if tracker in known else f"Accelerate knows {', '.join(known)}"
        raise ConfigError("tracker", " or ".join(["none", *installed]), repr(tracker), hint)


def make_accelerator(precision: Precision, device: str, tracker: str, folder: Path) -> Accelerator:
    """Return an Accelerator for this process; ``accelerate launch`` decides how many there are.

    tracker: "none" or a name that Accelerate knows; it logs into ``folder``.

    Raises ConfigError for a precision that the device does not have, a tracker that is not installed, and where the
    launcher's processes stay apart.
    """
    check_tracker(tracker)
    # Accelerate remembers the precision of the first run of a process and refuses another; a sweep may ask for both.
    AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(
            # Without an accelerator Accelerate joins the launcher's processes only when told that this is a CPU job.
            cpu=device == "cpu" or not torch.accelerator.is_available(),
            mixed_precision="no" if precision == "fp32" else precision,
            log_with=None if tracker == "none" else tracker,
            project_config=ProjectConfiguration(logging_dir=str(folder)),
        )
    except ValueError as error:
        raise ConfigError("precision", "one that this device has", repr(precision), str(error)) from error
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ConfigError("processes", f"{launched}, as launched", accelerator.num_processes)
    return accelerator


def leave_processes() -> None:
    """Take leave of the other processes of a launch, if there are any; the last thing that a job does."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
