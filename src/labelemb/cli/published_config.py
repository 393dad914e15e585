"""The config files of the published language scripts, in our words."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from labelemb.cli.arguments import Parser, UsageError, add_config, spelled
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
# Read by the published program and then unused there, or of no meaning here.
UNUSED = ("param_init", "learning_rate_decay", "start_decay_at", "max_generator_batches")
# Choices of ours that are options of the published scripts, and so belong there.
OPTIONS = {"method": "-score emb -loss emb", "seed": "-seed", "unk": "-unk", "limit": "-limit", "restore": "-restore"}
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
    if optional := sorted(content.keys() & OPTIONS.keys()):
        hint = f"Give {', '.join(OPTIONS[key] for key in optional)}"
        raise ConfigError("config", "no keys that are options of the script", f"{', '.join(optional)} in {file}", hint)
    values: dict[str, Any] = {"soft_start": SOFT_START}
    for key, value in content.items():
        if key in {*KEYS, *own} and value is not None:
            values[KEYS.get(key, str(key))] = ",".join(map(str, value)) if isinstance(value, list) else value
    values = _typed(file, values)
    if "shared_vocab" in content:
        _check_shared(file, str(values["corpus"]), bool(content["shared_vocab"]))
    return str(content.get("log") or "."), values


def _typed(file: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as those of a preset are read: 1e-3 is a number, though YAML takes it for text."""
    parser = Parser(str(file), "", "")
    add_config(parser, Seq2SeqConfig, {}, skip=set(), aliases={})
    try:
        found = parser.parse([f"--{key}={spelled(value)}" for key, value in values.items()])
    except UsageError as error:
        raise ConfigError("config", f"values that fit their keys in {file}", str(error).partition(". ")[0]) from error
    return {key: found[key] for key in values}


def _check_shared(file: Path, corpus: str, wanted: bool) -> None:
    found = load_corpus(corpus, None).tokenizer.shared
    if found != wanted:
        hint = "labelemb preprocess -share makes one vocabulary for both sides"
        raise ConfigError("shared_vocab", f"{found}, as {corpus} is prepared", f"{wanted} in {file}", hint)
