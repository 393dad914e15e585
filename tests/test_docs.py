"""The code in the documents runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

ROOT = Path(__file__).parents[1]


def test_the_first_page_trains_saves_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    model = nn.Sequential()
    model.add_module("body", nn.Linear(8, 512))
    model.add_module("fc", nn.Linear(512, 100))
    batches = [(torch.randn(16, 8), torch.randint(100, (16,))) for _ in range(2)]
    names: dict[str, Any] = {
        "model": model,
        "device": "cpu",
        "batches": batches,
        "label_names": list(map(str, range(100))),
    }
    monkeypatch.chdir(tmp_path)
    exec(block, names)
    saved = torch.load("last.pt", weights_only=True)
    again = names["LabelEmbeddingLoss"](512, 100)
    again.load_state_dict(saved["loss"])
    assert again.steps == 2
    assert (tmp_path / "labels.safetensors").is_file()


def test_the_three_lines_train() -> None:
    import labelemb

    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), flags=re.S
    )
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("body", nn.Linear(8, 512))
    model.add_module("fc", nn.Linear(512, 100))
    names = {
        **{name: getattr(labelemb, name) for name in labelemb.__all__},
        "torch": torch,
        "nn": nn,
        "model": model,
        "images": torch.randn(16, 8),
        "targets": torch.randint(100, (16,)),
    }
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    exec(blocks[0], names)
    assert all(not torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    assert names["loss"].steps == 1


def test_the_lines_for_several_processes_train(tmp_path: Path) -> None:
    import labelemb

    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "DistributedData" in block)
    model = nn.Sequential()
    model.add_module("body", nn.Linear(8, 5))
    model.add_module("fc", nn.Linear(5, 3))
    names: dict[str, Any] = {"torch": torch, "DistributedDataParallel": DistributedDataParallel, "model": model}
    names |= {"loss": labelemb.LabelEmbeddingLoss(5, 3), "capture_head_input": labelemb.capture_head_input}
    names |= {"images": torch.randn(16, 8), "targets": torch.randint(3, (16,))}
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        exec(block, names)
    finally:
        dist.destroy_process_group()
    assert names["loss"].module.steps == 1
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_method_of_ones_own_trains() -> None:
    import labelemb

    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(next(block for block in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "class " in block), names)
    loss, head = names["FrequencySmoothing"](3), nn.Linear(4, 3)
    hidden, targets = torch.randn(5, 4, requires_grad=True), torch.tensor([0, 0, 2, 2, -100])
    first = loss(hidden, head, targets)
    first.total.backward()
    smoothing = labelemb.LabelSmoothingLoss(0.1)(hidden, head, targets)
    torch.testing.assert_close(first.total, smoothing.total, msg="each label counts as seen once")
    loss.epoch_end()
    assert loss.seen.tolist() == [3, 1, 3]
    assert list(loss.state_dict()) == ["seen"]


def test_a_model_of_ones_own_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "any-model.md").read_text(encoding="utf-8"), flags=re.S
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert names["error"] < 0.15
    assert (tmp_path / "labels.safetensors").is_file()
    assert all(parameter.grad is not None for parameter in names["student"].parameters())


def test_no_link_in_the_documents_is_dead() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def text_files(folder: Path) -> None:
    """Parallel text under the names that the document uses."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    say = {word: f"{word[::-1]}a" for word in words}
    for name, numbers in {"train": range(100, 260), "dev": range(300, 310), "test": range(400, 412)}.items():
        lines = [[words[int(digit)] for digit in str(number)] for number in numbers]
        (folder / f"{name}.en").write_text("".join(f"{' '.join(line)}\n" for line in lines))
        (folder / f"{name}.vi").write_text("".join(f"{' '.join(say[word] for word in line)}\n" for line in lines))


@pytest.mark.parametrize("number", [0, 1])
def test_the_commands_of_the_translation_document_run(number: int, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "translation.md").read_text(encoding="utf-8")
    block = re.findall(r"<!-- runs -->\n```sh\n(.*?)```\n<!-- end -->", text, flags=re.S)[number]
    text_files(tmp_path)
    for script in (ROOT / "scripts" / "nlp").iterdir():
        if script.is_file():
            shutil.copy(script, tmp_path)
    # The sizes alone are made small: the published config wants a GPU.
    small = {"epoch": "2", "emb_size": "8", "hidden_size": "8", "eval_interval": "5", "soft_start": "2"}
    config = (tmp_path / "iwslt.yaml").read_text()
    for key, value in small.items():
        config = re.sub(rf"^{key}: \S+", f"{key}: {value}", config, flags=re.M)
    (tmp_path / "iwslt.yaml").write_text(config)
    (tmp_path / "bin").mkdir()
    for name, call in {"labelemb": "-m labelemb ", "python3": ""}.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {call}"$@"\n')
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", block], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / ("test.out" if number == 0 else "data/iwslt15/label_embedding/prediction.txt")
    assert len(out.read_text(encoding="utf-8").splitlines()) == 12
