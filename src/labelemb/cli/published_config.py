"""The config files of the published language scripts, translated to ``Seq2SeqConfig``."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from labelemb.cli.training_options import config_values
from labelemb.documents import parse_yaml, read_bounded
from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.recipe import load_corpus

# Published key -> ours.
KEYS = {
    "data": "corpus",
    "epoch": "epochs",
    "optim": "optimizer",
    "emb_size": "embedding_size",
    "num_layers": "layers",
    "max_tgt_len": "max_length",
    "metric": "eval_metrics",
    "att_act": "query_activation",
}
# Read but unused by the published program, or without a meaning here.
UNUSED = ("param_init", "learning_rate_decay", "start_decay_at", "max_generator_batches")
# Keys of ours that are options of the published scripts.
OPTIONS = {"method": "-score emb -loss emb", "seed": "-seed", "unk": "-unk", "limit": "-limit", "restore": "-restore"}
SOFT_START = 20_000  # in the published program, not in its config


def read_config(file: Path) -> tuple[str, dict[str, Any]]:
    """Read a config with the published keys, and any of ``Seq2SeqConfig``; return its log and the values of ours.

    ``shared_vocab`` is only checked: the prepared corpus decides it. Raises ConfigError, DataError.
    """
    content = parse_yaml(read_bounded(file, "a config in YAML"), str(file), "a config in YAML")
    if not isinstance(content, dict) or not isinstance(content.get("data"), str):
        raise ConfigError("config", f"keys in {file}, 'data: PATH' among them", type(content).__name__)
    own = {field.name for field in fields(Seq2SeqConfig)}
    known = {*KEYS, *own, *UNUSED, "log", "shared_vocab"}
    if unknown := sorted(map(str, content.keys() - known)):
        raise ConfigError("config", f"keys out of {', '.join(sorted(known))}", f"{', '.join(unknown)} in {file}")
    if optional := sorted(content.keys() & OPTIONS.keys()):
        hint = f"Give {', '.join(OPTIONS[key] for key in optional)}"
        raise ConfigError("config", "no keys that are options of the script", f"{', '.join(optional)} in {file}", hint)
    values: dict[str, Any] = {"soft_start": SOFT_START}
    for key, value in content.items():
        if key in {*KEYS, *own} and value is not None:
            values[KEYS.get(key, str(key))] = ",".join(map(str, value)) if isinstance(value, list) else value
    values = config_values(Seq2SeqConfig, values, f"config {file}")
    if "shared_vocab" in content:
        _check_shared(file, str(values["corpus"]), bool(content["shared_vocab"]))
    return str(content.get("log") or "."), values


def _check_shared(file: Path, corpus: str, wanted: bool) -> None:
    found = load_corpus(corpus, None).tokenizer.shared
    if found != wanted:
        hint = "labelemb preprocess -share makes one vocabulary for both sides"
        raise ConfigError("shared_vocab", f"{found}, as {corpus} is prepared", f"{wanted} in {file}", hint)
