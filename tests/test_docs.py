"""The examples in the documents run."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import labelemb
from labelemb.stats.paired import seeds_for_any_finding
from tests.processes import run_in_processes

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def code_blocks(document: str, language: str = "python") -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def classifier(hidden: int, labels: int) -> nn.Sequential:
    model = nn.Sequential()
    model.add_module("body", nn.Linear(8, hidden))
    model.add_module("fc", nn.Linear(hidden, labels))
    return model


@pytest.mark.parametrize("document", ["README.md", "docs/index.md"])
@pytest.mark.parametrize("added", [False, True], ids=["before", "after"])
def test_the_diff_of_a_training_script(document: str, added: bool) -> None:
    block = code_blocks(document, "diff")[0]
    lines = block.splitlines()
    assert 0 < sum(line.startswith("+") for line in lines) <= 5
    keep = " +" if added else " -"
    script = "\n".join(line[1:] for line in lines if not line or line[0] in keep)
    model = classifier(512, 100)
    before = [parameter.clone() for parameter in model.parameters()]
    names: dict[str, Any] = {"torch": torch, "nn": nn, "model": model, "device": "cpu"}
    names["loader"] = [(torch.randn(16, 8), torch.randint(100, (16,))) for _ in range(2)]
    exec(script, names)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    if added:
        assert names["criterion"].steps == 2


def test_the_objective_in_the_readme() -> None:
    names: dict[str, Any] = {}
    for block in code_blocks("README.md"):
        exec(block, names)
    assert names["loss"].objective != labelemb.Objective()


def test_the_training_loop_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = code_blocks("docs/training-loop.md")
    for block in blocks[:-1]:
        exec(block, names)
    assert names["error"] < 0.15
    assert (tmp_path / "labels.safetensors").is_file()
    assert all(parameter.grad is not None for parameter in names["student"].parameters())
    saved = torch.load("last.pt", weights_only=True)
    again = labelemb.LabelEmbeddingLoss(32, 10)
    again.load_state_dict(saved["loss"])
    assert again.steps == 15 * 30


def run_the_training_loop_of_several_processes() -> None:
    block = code_blocks("docs/training-loop.md")[-1]
    model = classifier(5, 3)
    names: dict[str, Any] = {"torch": torch, "DistributedDataParallel": DistributedDataParallel, "model": model}
    names |= {"loss": labelemb.LabelEmbeddingLoss(5, 3), "capture_head_input": labelemb.capture_head_input}
    names |= {"images": torch.randn(16, 8), "targets": torch.randint(3, (16,))}
    exec(block, names)
    assert names["loss"].module.steps == 1
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_training_loop_of_several_processes(tmp_path: Path) -> None:
    """In a process of its own, whose group is left as ``leave_processes`` does."""
    run_in_processes(1, tmp_path / "group", run_the_training_loop_of_several_processes)


def test_the_new_method_trains() -> None:
    names: dict[str, Any] = {}
    exec(code_blocks("docs/extending.md")[0], names)
    loss, head = names["FrequencySmoothing"](3), nn.Linear(4, 3)
    hidden, targets = torch.randn(5, 4, requires_grad=True), torch.tensor([0, 0, 2, 2, -100])
    first = loss(hidden, head, targets)
    first.loss.backward()
    smoothing = labelemb.LabelSmoothingLoss(0.1)(hidden, head, targets)
    torch.testing.assert_close(first.loss, smoothing.loss, msg="all label counts start at one")
    loss.epoch_end()
    assert loss.seen.tolist() == [3, 1, 3]
    assert list(loss.state_dict()) == ["seen"]


def test_the_model_with_its_loss() -> None:
    names: dict[str, Any] = {}
    exec(code_blocks("docs/integrations.md")[0], names)
    assert names["model"].loss.steps == 1


def test_the_statistics_in_python() -> None:
    names: dict[str, Any] = {}
    exec(code_blocks("docs/comparing.md")[0], names)
    assert names["difference"].n == 6


def test_the_loss_for_large_vocabularies() -> None:
    block, *_ = code_blocks("docs/large-vocabulary.md")  # the others need torchrun
    names = {name: getattr(labelemb, name) for name in labelemb.__all__}
    exec(block.replace("50_000", "5_000"), names)
    assert isinstance(names["loss"].embedding, labelemb.CompressedLabelEmbedding)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/api/*.md"))
    documented = set(re.findall(r"^::: labelemb\.(\w+)$", pages, flags=re.M))
    assert documented == set(labelemb.__all__) - {"__version__"}


def text_files(folder: Path) -> None:
    """Write parallel text under the file names of the document."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    say = {word: f"{word[::-1]}a" for word in words}
    for name, numbers in {"train": range(100, 260), "dev": range(300, 310), "test": range(400, 412)}.items():
        lines = [[words[int(digit)] for digit in str(number)] for number in numbers]
        (folder / f"{name}.en").write_text("".join(f"{' '.join(line)}\n" for line in lines))
        (folder / f"{name}.vi").write_text("".join(f"{' '.join(say[word] for word in line)}\n" for line in lines))


def run_block(document: str, number: int, folder: Path) -> None:
    """Run a shell block that follows ``<!-- runs -->``, with labelemb and python3 those of the tests."""
    text = (ROOT / document).read_text(encoding="utf-8")
    block = re.findall(r"<!-- runs -->\n```sh\n(.*?)```\n<!-- end -->", text, flags=re.S)[number]
    (folder / "bin").mkdir()
    for name, call in {"labelemb": "-m labelemb ", "python3": ""}.items():
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {call}"$@"\n')
        program.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", block], cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [0, 1])
def test_the_commands_of_the_translation_document_run(number: int, tmp_path: Path) -> None:
    text_files(tmp_path)
    for script in (ROOT / "scripts" / "nlp").iterdir():
        if script.is_file():
            shutil.copy(script, tmp_path)
    # Smaller sizes: the published config needs a GPU.
    small = {"epoch": "2", "emb_size": "8", "hidden_size": "8", "eval_interval": "5", "soft_start": "2"}
    config = (tmp_path / "iwslt.yaml").read_text()
    for key, value in small.items():
        config = re.sub(rf"^{key}: \S+", f"{key}: {value}", config, flags=re.M)
    (tmp_path / "iwslt.yaml").write_text(config)
    run_block("docs/translation.md", number, tmp_path)
    out = tmp_path / ("test.out" if number == 0 else "data/iwslt15/label_embedding/prediction.txt")
    assert len(out.read_text(encoding="utf-8").splitlines()) == 12


def test_the_commands_of_the_text_classification_document_run(tmp_path: Path) -> None:
    rows = [f"{verb} {number},{verb}" for verb in ("buy", "sell", "return") for number in range(30)]
    (tmp_path / "intents.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    run_block("docs/text-classification.md", 0, tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_commands_of_the_image_classification_document_run(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog", "horse")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(12):
            color = (80 * label + number, 40, 200 - 80 * label)
            Image.new("RGB", (40, 30), color).save(tmp_path / "animals" / name / f"{number}.png")
    run_block("docs/image-classification.md", 0, tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_page_of_examples_shows_the_differences_of_the_scripts() -> None:
    text = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for file in sorted((ROOT / "examples" / "one_hot").glob("*.py")):
        before, after = (
            path.read_text(encoding="utf-8").splitlines() for path in (file, ROOT / "examples" / file.name)
        )
        diff = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
        assert "\n".join(line for line in diff if not line.startswith("@@")) in text, file.name


def test_suggested_comparisons_have_enough_seeds_for_a_test() -> None:
    checked = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        for command in re.findall(r"labelemb compare [^\n`#|]*", text):
            given = re.search(r"--seeds (\d+)", command)
            if given is None or given[1] == "1":  # one seed shows the output of a command
                continue
            methods = re.search(r"--method (\S+)", command)
            tests = methods[1].count(",") if methods else 2
            assert int(given[1]) >= seeds_for_any_finding(tests), (document.name, command)
            checked += 1
    assert checked > 5
