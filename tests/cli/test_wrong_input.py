"""Wrong command lines, generated from the options themselves: each is one line that names the mistake, exit code 2."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from labelemb.cli.main import COMMANDS, main
from labelemb.cli.parser import Parser, expected_value
from labelemb.cli.train import TRAIN
from labelemb.errors import ConfigError, LabelembError

PRESETS = ("digits", "numbers-en-vi", "text")


def options(parser: Parser) -> dict[str, Any]:
    """Option -> the type of its value; options without a value are left out."""
    typed = {action.option_strings[0]: action for action in parser._actions if action.option_strings}
    return {
        name: getattr(action, "_typehint", action.type)
        for name, action in typed.items()
        if action.nargs != 0 and getattr(action, "_typehint", action.type) is not None
    }


def refused(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(list(arguments)) == 2, arguments
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("labelemb: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("preset", PRESETS)
def test_a_value_of_a_wrong_type_is_named_with_what_is_expected(preset: str) -> None:
    parser = TRAIN.parser([preset])
    checked = 0
    for name, hint in options(parser).items():
        if str in (hint, *getattr(hint, "__args__", ())):
            continue  # takes any text
        with pytest.raises(ConfigError) as raised:
            parser.parse_args([preset, name, "nonsense"])
        assert str(raised.value) == f"{name[2:]}: expected {expected_value(hint)}, got 'nonsense'"
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("preset", PRESETS)
def test_a_misspelt_option_is_refused_and_the_right_one_suggested(preset: str) -> None:
    parser = TRAIN.parser([preset])
    for name in options(parser):
        for wrong in (f"{name}x", name.upper().replace("--", "--x"), f"{name.replace('_', '-')}-"):
            with pytest.raises(LabelembError, match="no such option"):
                parser.parse_args([preset, wrong, "1"])
        if "_" in name:
            with pytest.raises(LabelembError, match=f"Did you mean '{name}'"):
                parser.parse_args([preset, name.replace("_", "-"), "1"])


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_refuses_unknown_options_and_surplus_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    preset = ["digits"] if name in ("train", "compare", "ablate", "sweep") else []
    assert "--nonsense: no such option" in refused([name, *preset, "--nonsense", "1"], capsys)
    if name not in ("predict", "report", "sweep"):  # which take any number of words
        refused([name, *["digits"] * 4], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train digits --lr 0.1", "Did you mean '--learning_rate'?"),
        ("train digits --mode emb", "Did you mean '--method'?"),
        ("train digits --method emb", "got 'emb'. Did you mean 'label_embedding'?"),
        ("train digits --method baseline", "Did you mean 'cross_entropy'?"),
        ("train digits --method label_embedding,pskd", "Did you mean 'ps_kd'?"),
        (
            "train digits --pretrained",
            "--model takes mlp, cnn, resnet8 or resnet18 (trained from scratch), or a pretrained model: hf:",
        ),
        (
            "train digits --model resnet50",
            "hf:DIR_OR_ID or timm:NAME, got 'resnet50'. A pretrained model: hf:resnet50 or timm:resnet50",
        ),
        ("train text --dataset csv:a.csv --model bert", "got 'bert'. A pretrained encoder: hf:bert"),
        ("train text", "parquet:PATH or hub:ID, got none"),
        ("train intents.tsv", "got 'intents.tsv'. Your own texts: labelemb train text --dataset tsv:intents.tsv"),
        ("train ..", "got '..'. Your own images: labelemb train images --dataset imagefolder:.."),
        ("train digits --max_length 9", "It is an option of text and seq2seq presets, not of digits"),
        ("train digits --dataset /images", "--dataset imagefolder:/images"),
        ("train imagefolder:/images", "--dataset imagefolder:/images"),
        ("train numbers-en-vi --width 8", "It is an option of vision presets, not of numbers-en-vi"),
        ("train digits --beam_size 4", "It is an option of seq2seq presets, not of digits"),
        ("train digits --name ../elsewhere", "name: expected a name"),
        ("train my.yaml", "my.yaml: expected a readable YAML file, got no such file"),
        ("train digits --epochs", "--epochs: expected one argument"),
        ("train digits --alpha nan", "alpha: expected a number, got 'nan'"),
        ("sweep digits seed=1,2", "--seeds N runs each combination"),
        ("sweep digits method=ols,ps_kd", "labelemb compare compares methods"),
        ("sweep digits tua=1,2", "Did you mean 'tau'?"),
        ("sweep digits tau=1,2 --figure valid_nll", "Did you mean '--metric'?"),
        ("evaluate", "run: expected a run folder"),
        ("help", "labelemb --help describes them"),
    ],
)
def test_the_remedy_is_in_the_message(
    command: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(command.split(), capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train digits --seeds 2", "compare digits --seeds 2", "demo", "report ."])
@pytest.mark.parametrize("out", ["", "file", "file/below"])
def test_an_output_folder_that_cannot_be_made_is_refused_before_any_work(
    command: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main([*command.split(), "--out", out]) == 2
    error = capsys.readouterr().err
    assert error.startswith("labelemb: out: expected a folder")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("command", ["compare digits", "ablate digits", "sweep digits tau=1,2"])
def test_a_report_folder_that_cannot_be_made_is_refused_before_training(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    error = refused([*command.split(), "--report", str(tmp_path / "file")], capsys)
    assert error.startswith("labelemb: report: expected a folder")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "jsonargparse", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "labelemb.cli.parser")
    assert "needs the package jsonargparse: pip install 'labelemb[train]'" in refused(["list"], capsys)


def test_help_shows_common_options_and_help_all_shows_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--help"]) == 0
    short = capsys.readouterr().out
    assert main(["train", "digits", "--help-all"]) == 0
    long = capsys.readouterr().out
    assert "--learning_rate" in short
    assert "--soft_decay" not in short
    for name in options(TRAIN.parser(["digits"])):
        assert f"  {name} " in long
    for method in ("cross_entropy", "label_embedding", "max_sup", "tf_kd"):
        assert method in short
    assert main(["train", "--help"]) == 0
    general = capsys.readouterr().out
    assert all(f"  {preset} " in general for preset in PRESETS), "without a preset it is about all of them"
