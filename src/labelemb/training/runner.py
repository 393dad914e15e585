"""Train a run of any task: lock its run folder, then train or resume."""

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
from labelemb.training.parallel import check_sharding
from labelemb.training.task import Task


def check_run(config: TrainingConfig, run: RunFolder, data_digest: str) -> None:
    """Raise ConfigError if the folder holds a run with another config or of other data or files."""
    run.check(asdict(config), {"data_digest": data_digest, **_file_digests(config)}, config.defaults())


def train_run(
    task: Task, config: TrainingConfig, run: RunFolder, data_digest: str, facts: Mapping[str, str] | None = None
) -> None:
    """Lock the run folder, then train or resume; a finished run is left as it is.

    Args:
        task: Model, loss and data.
        config: The resolved config; a folder with another config is refused.
        run: The run folder.
        data_digest: Digest of the data.
        facts: Further entries of the provenance; the report shows "note" beside the run's results.

    Raises:
        ConfigError: The folder holds another run, or is not shared by all processes.
        RunBusyError: Another process is training the run.
    """
    accelerator = make_accelerator(config.precision, config.device, config.tracker, run.path)
    check_sharding(config.sharding, accelerator.num_processes)
    main = accelerator.is_main_process
    with run.locked() if main else contextlib.nullcontext(lambda: None) as check_held:
        if main:
            run.fetch()
            signature = collect_provenance(config.seed, data_digest, str(accelerator.device))
            run.open(asdict(config), {**signature, **_file_digests(config), **(facts or {})}, config.defaults())
        accelerator.wait_for_everyone()
        if not run.config_file.is_file():
            raise ConfigError("out", "a folder that all processes see, on a shared disk", str(run.path))
        if not run.finished:
            fit(task, config.fit_settings, run, accelerator, check_held)


def _file_digests(config: TrainingConfig) -> dict[str, str]:
    """Return a digest of each file that the run reads."""
    digests = {}
    for key, path in config.files.items():
        with path.open("rb") as file:
            digests[f"{key}_digest"] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return digests
