"""The road of every run, whatever its task: claim its folder, train it to its end."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict

from labelemb.errors import ConfigError
from labelemb.losses.modes import KEYS
from labelemb.runs import RunFolder, make_signature
from labelemb.training.config import TrainingConfig
from labelemb.training.device import make_accelerator
from labelemb.training.loop import fit
from labelemb.training.task import Task


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
            signature = make_signature(config.seed, data_digest, str(accelerator.device))
            run.open(asdict(config), {**signature, **_embedding_facts(config), **(facts or {})})
        accelerator.wait_for_everyone()
        if not run.config_file.is_file():
            raise ConfigError("out", "a folder that all processes see, on a shared disk", str(run.path))
        if not run.finished:
            fit(task, config.fit_settings, run, accelerator)


def _embedding_facts(config: TrainingConfig) -> dict[str, str]:
    """Identify the label embedding that a run starts from, where its mode has one."""
    file = config.method.embedding
    if file is None or config.mode not in KEYS["embedding"]:
        return {}
    return {"embedding_digest": hashlib.sha256(file.read_bytes()).hexdigest()[:16]}
