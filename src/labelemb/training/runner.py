"""The road of every run, whatever its task: claim its folder, train it to its end."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict

from labelemb.errors import ConfigError
from labelemb.runs import RunFolder
from labelemb.runs.provenance import collect_provenance
from labelemb.training.config import TrainingConfig
from labelemb.training.device import make_accelerator
from labelemb.training.loop import fit
from labelemb.training.task import Task


def check_run(config: TrainingConfig, run: RunFolder, data_digest: str) -> None:
    """Raise ConfigError when the folder holds a run with another config, or of other data or files."""
    run.check(asdict(config), {"data_digest": data_digest, **_file_digests(config)}, config.defaults())


def train_run(
    task: Task, config: TrainingConfig, run: RunFolder, data_digest: str, facts: Mapping[str, str] | None = None
) -> None:
    """Claim the run folder and ``fit``, from wherever a killed process left it; a finished run is left untouched.

    config       every choice, resolved: a folder with another one is refused
    data_digest  what identifies the data
    facts        what else the signature must say: "note" stands beside every figure in the report

    Raises ConfigError when the folder holds another run, another job trains there, or not all processes see it.
    """
    accelerator = make_accelerator(config.precision, config.device, config.tracker, run.path)
    main = accelerator.is_main_process
    with run.locked() if main else contextlib.nullcontext():
        if main:
            run.sweep()
            signature = collect_provenance(config.seed, data_digest, str(accelerator.device))
            run.open(asdict(config), {**signature, **_file_digests(config), **(facts or {})}, config.defaults())
        accelerator.wait_for_everyone()
        if not run.config_file.is_file():
            raise ConfigError("out", "a folder that all processes see, on a shared disk", str(run.path))
        if not run.finished:
            fit(task, config.fit_settings, run, accelerator)


def _file_digests(config: TrainingConfig) -> dict[str, str]:
    """Identify the files that a run starts from."""
    digests = {}
    for key, path in config.files.items():
        with path.open("rb") as file:
            digests[f"{key}_digest"] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return digests
