"""Numbers that no option can use, for every option of every command that takes one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from labelemb.cli.main import COMMANDS, _command, main
from labelemb.cli.parser import Parser
from labelemb.cli.training_options import RECIPES
from labelemb.errors import ConfigError, LabelembError
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions
from labelemb.terms.embedding import DenseLabelEmbedding
from labelemb.training.config import TrainingConfig

PRESETS = {
    "train": ["digits", "numbers-en-vi", "text"],
    **{name: ["digits"] for name in ("compare", "ablate", "sweep")},
}
NO_FLOATS = ["1e999", "-inf", "nan", "", "text"]
NO_INTEGERS = ["1e999", "1.5", "", "text", "9" * 5000, "9" * 23]
HUGE = 10**23
PARSERS = [(name, preset) for name in COMMANDS for preset in PRESETS.get(name, [""])]


def kinds_of(hint: Any) -> tuple[Any, ...]:
    return (hint, *get_args(hint))


def options(parser: Parser) -> Iterator[tuple[str, type]]:
    for action in parser._actions:
        kinds = kinds_of(getattr(action, "_typehint", action.type))
        if action.option_strings and action.nargs != 0 and (int in kinds or float in kinds):
            yield action.option_strings[-1], float if float in kinds else int


@pytest.mark.parametrize(("name", "preset"), PARSERS)
def test_texts_that_are_no_number(name: str, preset: str) -> None:
    parser = _command(name).parser([preset] if preset else [])
    known = dict(options(_command("train").parser([preset]))) if name in ("compare", "ablate", "sweep") else {}
    for option, kind in options(parser):
        if known.get(option) == kind:
            continue  # checked already
        for text in NO_FLOATS if kind is float else NO_INTEGERS:
            with pytest.raises(LabelembError, match=option[2:]):
                parser.parse_args([*([preset] if preset else []), f"{option}={text}"])


@pytest.mark.parametrize("task", RECIPES)
def test_values_of_a_config(task: str) -> None:
    """Whatever the way that a value comes in: an option, a preset, or the folder of a run."""
    config = RECIPES[task].config
    for field in fields(config):
        kinds = kinds_of(config.types()[field.name])
        values: Sequence[float] = []
        if float in kinds:
            values = [math.inf, -math.inf, math.nan, -1.0 if field.name != "length_penalty" else math.nan]
        elif int in kinds:
            values = [HUGE, -HUGE, -1]
        for value in values:
            with pytest.raises(ConfigError, match=f"{field.name}: expected"):
                config(**{field.name: value})


@pytest.mark.parametrize("name", [field.name for field in fields(PreprocessOptions) if field.type == "int"])
def test_values_of_preprocessing(name: str) -> None:
    for value in (HUGE, -1):
        with pytest.raises(ConfigError, match=name):
            PreprocessOptions(**{name: value})


SIZES = [
    ("vision", {"gradient_accumulation_steps": 10**8, "batch_size": 10**9}),
    ("vision", {"image_size": 10**5}),
    ("vision", {"image_size": 2 * 10**9}),
    ("seq2seq", {"heads": 0}),
    ("seq2seq", {"layers": 10**8}),
    ("seq2seq", {"beam_size": 10**8}),
    ("seq2seq", {"max_length": 10**8}),
]


@pytest.mark.parametrize(("task", "values"), SIZES)
def test_sizes_without_a_use_are_refused_before_anything_is_read(task: str, values: dict[str, Any]) -> None:
    config: type[TrainingConfig] = RECIPES[task].config
    with pytest.raises(ConfigError, match=next(iter(values))):
        config(**values)


LINES = [
    *(f"train numbers-en-vi --{name}=100000000" for name in ("rank", "hidden_size", "embedding_size")),
    "train numbers-en-vi --model=transformer --feedforward=100000000",
    "train text --dataset=csv:words.csv --hidden_size=100000000",
    "train digits --width=100000000",
    *(f"train digits --{name}={value}" for name in ("jobs", "threads", "seeds") for value in (0, -1, 100_000, HUGE)),
    *(f"train digits --shard={value}" for value in ("0/1", "2/1", "1/0", "-1/2", "1/2/3", "a/b", "")),
    *(f"compare digits --alike={value}" for value in (0, -1)),
    *(f"compare digits --seeds=auto --within={value}" for value in (0, -1)),
    *(f"compare digits --seeds=auto --within=1 --budget={value}" for value in (0, -1, 5, 10**8, HUGE)),
    *(f"similar labels.safetensors 1 --top={value}" for value in (0, -1, HUGE)),
    *(f"similar labels.safetensors --frequent={value}" for value in (0, -1, HUGE)),
    *(f"agree labels.safetensors --human=labels.csv --permutations={value}" for value in (0, -1, 10**8, HUGE)),
    *(f"report labels --alike={value}" for value in (0, -1)),
    *(f"translate run --batch_size={value}" for value in (0, -1, HUGE)),
    *(f"preprocess --save_data=new --report_every={value}" for value in (-1, HUGE)),
]


@pytest.mark.parametrize("line", LINES)
def test_numbers_out_of_range_are_one_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    DenseLabelEmbedding(3).save("labels.safetensors", ["1", "2", "3"])
    Path("words.csv").write_text("text,label\n" + "a,x\nb,y\n" * 20)
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    option = line.rpartition("--")[2].partition("=")[0]
    assert option in said or "hidden_size" in said or (option in ("within", "alike") and "margin" in said)
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"labels.safetensors", "words.csv", "cache"}
