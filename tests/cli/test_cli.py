"""The command line as a person meets it: one clear line, exit code 2, nothing half-written."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelemb.cli.main import COMMANDS, main
from labelemb.presets import preset_names, read_preset

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("frobnicate", "command: expected one of demo, list, .*, got 'frobnicate'"),
        ("trian", r"command: .* got 'trian'. Did you mean 'train'\?$"),
        ("train digit", r"preset: .* got 'digit'. Did you mean 'digits'\?$"),
        ("train digits --method label_smoothed", r"method: .* got 'label_smoothed'. Did you mean 'label_smoothing'\?$"),
        ("train", "preset: expected one of cifar10-modern, .* got none"),
        ("train nope", "preset: .* got 'nope'"),
        ("train digits --epoch 3", r"--epoch: no such option. Did you mean '--epochs'\?$"),
        ("train digits --epochs x", "epochs: expected a whole number, got 'x'"),
        ("train digits --width 1.5", "width: expected a whole number or null, got '1.5'"),
        ("train digits --channels_last 7", "channels_last: expected true or false, got '7'"),
        ("train digits --cap soft", "cap: expected hinge or absolute, got 'soft'"),
        ("train digits --epochs 0 --tau -1 --learning_rate 0", "epochs: .*; tau: .*; learning_rate: .*"),
        ("train digits --terms hard,foo", "terms: expected names out of hard, .* got foo"),
        ("train digits --method foo", "method: expected one of cross_entropy, label_embedding.* got 'foo'"),
        ("train digits --soft_start 9999", r"soft_start: expected fewer steps than the run has \(780\)"),
        ("train digits --soft_start 9999 --soft_decay 1", r"soft_start: expected fewer steps than the run has \(780\)"),
        ("train digits --soft_decay 1 --mix sum", "mix: expected convex, for soft_decay, got sum"),
        ("train digits --soft_decay 2", "soft_decay: expected a number from 0 to 1, got 2"),
        ("train digits --embedding_rows 0", "embedding_rows: expected a number above 0 and up to 1, got 0"),
        ("train digits --seed 1 --seeds 3", "seed: give --seed N .* or --seeds N"),
        ("train digits --jobs 0", "jobs: expected a whole number >= 1, got 0"),
        ("train digits --shard 3/2", "shard: expected I/N with I from 1 to N, such as 2/8, got '3/2'"),
        ("train digits --gpus 1", "gpus: expected --engine ray as well, got 1"),
        ("train digits --engine slurm", "engine: expected local or ray, got 'slurm'"),
        ("compare digits --shard 1/2 --seeds auto --within 1", "shard: expected a number of --seeds instead of auto"),
        ("train digits --tracker nonesuch", "tracker: expected none.* got 'nonesuch'. Accelerate supports"),
        ("train mnist-mlp --data /nonexistent", "data: expected a folder with train-images"),
        (
            "compare digits --method label_embedding",
            "method: expected two or more methods.* got 'label_embedding'. .*: labelemb train",
        ),
        (
            "compare digits --method label_embedding,ols --reference label_confusion",
            r"reference: expected one of the methods \(label_embedding, ols\), got 'label_confusion'",
        ),
        ("ablate digits --terms hard", "terms: expected two or more terms"),
        ("ablate digits --method label_embedding", "--method: no such option"),
        ("sweep digits", "grid: expected KEY=VALUE,VALUE,.* got none"),
        ("sweep digits tau", "grid: expected KEY=VALUE,VALUE,.*, got 'tau'"),
        ("sweep digits tau=1 tau=2", "grid: expected KEY=VALUE,VALUE,.* each key once, got 'tau=2'"),
        ("sweep digits foo=1", r"grid: expected keys out of alpha, .* weight_decay, width, got 'foo'"),
        ("sweep digits tau=1,x", "tau: expected a number, got 'x'"),
        ("sweep digits tau=-1,2", "labelemb: tau: expected a temperature > 0, got -1.0$"),
        ("sweep digits tau=1,1.0", "grid: expected different values, got 'tau=1,1.0'"),
        (
            "sweep digits tau=1,2 --method label_embedding,ols",
            "method: expected one method.* For several: labelemb compare",
        ),
        ("sweep digits tau=1,2 --validate false", "validate: expected true"),
        ("sweep digits tau=1,2 --metric test_error", "metric: expected one of the validation data.*'test_error'"),
        ("show nope", "preset: .* got 'nope'"),
        ("report /nonexistent", "/nonexistent: expected a folder with runs"),
        ("similar /nonexistent 3", "/nonexistent: expected a safetensors file"),
    ],
)
def test_mistakes(
    command: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert re.search(says, said), said
    assert said.startswith("labelemb: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_help_shows_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"$ labelemb {name}" in capsys.readouterr().out


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in preset_names())
    assert main(["show", "mnist-cnn"]) == 0
    assert capsys.readouterr().out == read_preset("mnist-cnn").text


@pytest.mark.parametrize("name", preset_names())
def test_each_key_of_a_preset_is_commented_and_known(name: str) -> None:
    preset = read_preset(name)
    lines = [line for line in preset.text.splitlines() if line and not line.startswith(("#", "task:"))]
    assert all("#" in line for line in lines)
    from labelemb.cli.training_options import RECIPES

    RECIPES[preset.task].config(**preset.values)


def test_a_users_own_preset_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task: vision\ndataset: digits\nepochs: 1\nwidth: 8\n")
    assert main(["train", str(file), "--out", str(tmp_path / "runs")]) == 0
    assert "mine/label_embedding/seed-0  valid_error" in capsys.readouterr().out
    file.write_text("task: vision\nepoch: 1\n")
    assert main(["train", str(file)]) == 2
    assert "unknown keys epoch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"task: vision\ndataset: digits\nepochs: many\n", "epochs: expected a whole number, got 'many'"),
        (b"task: vision\ndataset: digits\nepochs: 2.5\n", "epochs: expected a whole number, got 2.5"),
        (b"task: [vision]\n", "preset: expected a mapping in .*'task: vision', "),
        (b"\xff\xfe\x00", "mine.yaml: expected a readable YAML file"),
        (b"epochs: 3\n", "preset: expected a mapping in .*'task: vision', "),
    ],
)
def test_mistakes_in_a_users_own_preset(
    text: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text)
    assert main(["train", str(file), "--out", str(tmp_path / "runs")]) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "runs").exists()


def test_mode_and_seed_of_a_users_own_preset_count(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task: vision\ndataset: digits\nepochs: 1\nwidth: 8\nmethod: cross_entropy\nseed: 3\n")
    assert main(["train", str(file), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "mine" / "cross_entropy" / "seed-3" / "finished.json").is_file()


def test_an_unusable_out_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["train", "digits", "--epochs", "1", "--out", str(tmp_path / "file")]) == 2
    assert "which is not a folder" in capsys.readouterr().err


def test_options_may_stand_before_the_preset(tmp_path: Path) -> None:
    options = ["--dataset", "digits", "--epochs", "1", "--width", "8", "--out", str(tmp_path)]
    assert main(["train", *options, "mnist-mlp"]) == 0
    config = (tmp_path / "mnist-mlp" / "label_embedding" / "seed-0" / "config.yaml").read_text()
    assert "batch_size: 100" in config, "the value of mnist-mlp, not that of digits"


def test_published_scripts_run_from_their_folder(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "vision" / "mlp.py"
    flags = "--mode=emb --tau 1 --alpha 0.8 --beta 0.4 --batch_size 200 --num 3 --epochs 1 --width 16 --dataset digits"
    done = subprocess.run([sys.executable, script, *flags.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    config = (tmp_path / "mlp_results" / "mnist-mlp" / "label_embedding" / "seed-3" / "config.yaml").read_text()
    assert "tau: 1.0" in config
    assert "beta: 0.4" in config
    assert "batch_size: 200" in config


@pytest.mark.parametrize(("script", "out"), [("cifar10", "10_results"), ("cifar100", "100_results")])
def test_published_cifar_scripts(
    script: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published flags, on own images in CIFAR's stead; then --resume, with something there and without."""
    rng = np.random.default_rng(0)
    for number in range(24):
        image = tmp_path / "toys" / "ab"[number % 2] / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(image)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    small = f"--dataset imagefolder:{tmp_path / 'toys'} --width 2 --batch_size 8 --device cpu --precision fp32"
    small += " --validate false"
    if script == "cifar100":
        small += " --decay_every 1"

    def call(flags: str) -> int:
        monkeypatch.setattr(sys, "argv", [f"{script}.py", *flags.split(), *small.split()])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "scripts" / "vision" / f"{script}.py"), run_name="__main__")
        return int(ended.value.code or 0)

    flags = "--mode=emb --lr 0.002 --tau 1 --alpha 0.8 --beta 0.4 --num 3 --epochs 1 --data /nowhere"
    assert call(f"--resume {flags}") == 2
    assert "resume: expected a run to resume in" in capsys.readouterr().err
    assert call(flags) == 0
    run = next((tmp_path / out).glob("*/label_embedding/seed-3"))
    config = (run / "config.yaml").read_text()
    assert all(line in config for line in ("tau: 1.0", "beta: 0.4", "learning_rate: 0.002", "augment: crop-flip"))
    assert not (run / "best.pt").exists(), "nothing was held out to choose by"
    assert call(f"-r {flags}") == 0
    assert call(f"-r {flags.replace('--num 3', '--num 4')}") == 2
    assert f"There are {out}/{run.parent.parent.name}/label_embedding/seed-3" in capsys.readouterr().err


@pytest.mark.full_data
@pytest.mark.skipif("LABELEMB_DATA" not in os.environ, reason="LABELEMB_DATA does not point at the full data sets")
def test_mnist_trains_from_the_command_line(tmp_path: Path) -> None:
    assert main(["train", "mnist-mlp", "--epochs", "1", "--out", str(tmp_path)]) == 0
