"""The config files of the published language scripts, in our words."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from labelemb.errors import Choices, ConfigError
from labelemb.seq2seq.config import Seq2SeqConfig
from labelemb.seq2seq.recipe import load_corpus

# Published key -> ours.
KEYS = {
    "data": "corpus",
    "epoch": "epochs",
    "optim": "optimizer",
    "max_grad_norm": "clip",
    "emb_size": "embedding_size",
    "num_layers": "layers",
    "max_tgt_len": "max_length",
    "metric": "scores",
    "att_act": "query_activation",
}
# Read by the published program and then unused there, or of no meaning here.
UNUSED = ("param_init", "learning_rate_decay", "start_decay_at", "max_generator_batches")
SOFT_START = 20_000  # in the published program, not in its config


def read_config(file: Path) -> tuple[str, dict[str, Any]]:
    """Read a config with the published keys, and any of ``Seq2SeqConfig`` besides; return its log and our choices.

    ``shared_vocab`` is no choice: the prepared corpus says it. Raises ConfigError.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError("config", f"a readable YAML file at {file}", " ".join(str(error).split())) from error
    if not isinstance(content, dict) or not isinstance(content.get("data"), str):
        raise ConfigError("config", f"keys in {file}, 'data: PATH' among them", type(content).__name__)
    own = {field.name for field in fields(Seq2SeqConfig)}
    known = {*KEYS, *own, *UNUSED, "log", "shared_vocab"}
    if unknown := sorted(map(str, content.keys() - known)):
        raise ConfigError("config", f"keys out of {', '.join(sorted(known))}", f"{', '.join(unknown)} in {file}")
    values: dict[str, Any] = {"soft_start": SOFT_START}
    for key, value in content.items():
        if key in {*KEYS, *own} and value is not None:
            values[KEYS.get(key, str(key))] = ",".join(map(str, value)) if isinstance(value, list) else value
    _check_kinds(file, values)
    if "shared_vocab" in content:
        _check_shared(file, str(values["corpus"]), bool(content["shared_vocab"]))
    return str(content.get("log") or "."), values


def _check_kinds(file: Path, values: Mapping[str, Any]) -> None:
    """Raise ConfigError for values that are no numbers where numbers belong, and so on."""
    instance = Seq2SeqConfig()
    with Choices() as choices:
        for key, value in values.items():
            default = getattr(instance, key)
            kinds = (int, float) if isinstance(default, float) else type(default)
            fine = default is None or (
                isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
            )
            choices.expect(fine, f"{file}: {key}", type(default).__name__, repr(value))


def _check_shared(file: Path, corpus: str, wanted: bool) -> None:
    found = load_corpus(corpus, None).wording.shared
    if found != wanted:
        hint = "labelemb preprocess -share makes one vocabulary for both sides"
        raise ConfigError("shared_vocab", f"{found}, as {corpus} is prepared", f"{wanted} in {file}", hint)
