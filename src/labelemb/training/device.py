"""Where a run computes, in which precision, and what it reports to."""

from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
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


def make_accelerator(precision: Precision, device: str, tracker: str, folder: Path) -> Accelerator:
    """Return an Accelerator for this process; ``accelerate launch`` decides how many there are.

    tracker: "none" or a name that Accelerate knows; it logs into ``folder``.

    Raises ConfigError for a tracker that is not installed.
    """
    try:
        return Accelerator(
            cpu=device == "cpu",
            mixed_precision="no" if precision == "fp32" else precision,
            log_with=None if tracker == "none" else tracker,
            project_config=ProjectConfiguration(logging_dir=str(folder)),
        )
    except ValueError as error:
        raise ConfigError(
            "tracker or precision", "what this machine has", f"{tracker}, {precision}", str(error)
        ) from error
