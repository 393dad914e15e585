"""Small data, trained runs and a command line for every verb; each case works on a copy of them."""

import csv
import importlib
import json
import multiprocessing
import os
import pkgutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

import labelemb
from labelemb.training.engines import local
from tests.campaign.trial import command, problem_of

RUN, TEXT_RUN = "runs/digits/label_embedding/seed-0", "runs/words/label_embedding/seed-0"
PAIR_RUN, IMAGE_RUN = "runs/pairs/label_embedding/seed-0", "runs/images/label_embedding/seed-0"
SMALL = ["--model=mlp", "--width=8", "--epochs=2", "--threads=1", "--batch_size=500"]
DIGITS = ["digits", *SMALL]
WORDS = ["text", "--dataset=csv:words.csv", "--epochs=2", "--threads=1", "--hidden_size=4", "--name=words"]
IMAGES = ["digits", "--dataset=imagefolder:images", "--image_size=8", *SMALL, "--name=images"]
PAIRS = [
    *("numbers-en-vi", "--corpus=pairs", "--epochs=2", "--threads=1", "--embedding_size=4", "--hidden_size=4"),
    *("--soft_start=1", "--batch_size=16", "--name=pairs"),
]
TEXTS = [f"--{split}_{side}={split}.{side}" for split in ("train", "valid", "test") for side in ("src", "tgt")]

# What the campaign tries: a name -> a command line that succeeds. The names start with the verb.
COMMANDS: dict[str, list[str]] = {
    "list": ["list"],
    "show": ["show", "digits"],
    "preprocess": ["preprocess", *TEXTS, "--save_data=new"],
    "preprocess characters": ["preprocess", *TEXTS, "--char", "--share", "--shuffle=1", "--save_data=new"],
    "train": ["train", *DIGITS, "--out=new"],
    "train text": ["train", *WORDS, "--out=new"],
    "train pairs": ["train", *PAIRS, "--out=new"],
    "train images": ["train", *IMAGES, "--out=new"],
    "compare": ["compare", *DIGITS, "--seed=0", "--method=cross_entropy,label_embedding", "--out=runs"],
    "ablate": ["ablate", *DIGITS, "--seed=0", "--terms=hard,soft", "--out=runs"],
    "sweep": ["sweep", "digits", "tau=1,2", *SMALL, "--seed=0", "--out=runs"],
    "translate": ["translate", PAIR_RUN],
    "predict": ["predict", IMAGE_RUN, "images/a/0.png", "images/b"],
    "predict text": ["predict", TEXT_RUN],
    "evaluate": ["evaluate", RUN, "--calibrate"],
    "evaluate text": ["evaluate", TEXT_RUN, "--calibrate"],
    "evaluate pairs": ["evaluate", PAIR_RUN, "--output=new.txt"],
    "report": ["report", "runs/digits", "runs/pairs", "--out=new"],
    "import": ["import", "trainer_state.json", "--experiment=other", "--method=baseline", "--out=new"],
    "import csv": ["import", "metrics.csv", "--experiment=other", "--method=baseline", "--out=new"],
    "similar": ["similar", RUN, "3"],
    "agree": ["agree", RUN, "--human=human.csv", "--permutations=9", "--out=new"],
    "export": ["export", RUN, "--to=csv", "--out=new/labels.csv"],
    "export npy": ["export", RUN, "--to=npy", "--out=new/labels.npy"],
    "export safetensors": ["export", RUN, "--to=safetensors", "--out=new/labels.safetensors"],
    "export tensorboard": ["export", RUN, "--to=tensorboard", "--out=new"],
    "export torch": ["export", RUN, "--to=torch", "--out=new/model.pt2"],
}
# Imported before a process becomes a user who may not read the files of Python.
PREPARED = ["pyarrow.parquet", "sacrebleu", "sklearn.datasets", "onnxscript"]
PREPARED += [
    f"encodings.{name}" for name in ("cp437", "idna", "latin_1", "utf_8_sig", "utf_16", "ascii", "raw_unicode_escape")
]
GIVEN = {"translate": b"1 2\n\n3\n", "predict text": b"red one\nblue two\n"}


def import_all() -> None:
    """Import every module, and what they import when they are used, so that a forked command starts at once."""
    modules = [module.name for module in pkgutil.walk_packages(labelemb.__path__, "labelemb.")]
    own = [name for name in modules if not name.startswith(("labelemb.integrations", "labelemb.__main__"))]
    for name in [*own, *PREPARED]:
        with suppress(ModuleNotFoundError):  # of an optional package, such as ray
            importlib.import_module(name)
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    local.CONTEXT = multiprocessing.get_context("fork")  # type: ignore[assignment]  # without another import of torch


def make_material(folder: Path) -> str:
    """Write the data and train the runs; return what failed, or ""."""
    _write_data(folder)
    steps = [
        ["preprocess", *TEXTS, "--save_data=pairs"],
        *(["train", *DIGITS, f"--method={method}", "--out=runs"] for method in ("label_embedding", "cross_entropy")),
        ["train", *WORDS, "--out=runs"],
        ["train", *PAIRS, "--out=runs"],
        ["train", *IMAGES, "--out=runs"],
        COMMANDS["ablate"],
        COMMANDS["sweep"],
    ]
    for step in steps:
        end = command(step, folder)
        if problem := problem_of(end) or ("" if end.code == 0 else end.said):
            return f"{' '.join(step)}: {problem}"
    return ""


def _write_data(folder: Path) -> None:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for split, numbers in {"train": range(10, 90), "valid": range(20, 60, 3), "test": range(30, 70, 3)}.items():
        (folder / f"{split}.src").write_text("".join(" ".join(str(n)) + "\n" for n in numbers))
        (folder / f"{split}.tgt").write_text("".join(" ".join(names[int(d)] for d in str(n)) + "\n" for n in numbers))
    with (folder / "words.csv").open("w", newline="") as file:
        rows = [(f"{color} {names[n % 10]} {n}", color) for n in range(40) for color in ("red", "blue", "green")]
        csv.writer(file).writerows([("text", "label"), *rows])
    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(20):
            image = random.integers(256, size=(9, 9, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / "images" / label / f"{number}.png")
    digits = [str(digit) for digit in range(10)]
    with (folder / "human.csv").open("w", newline="") as file:
        rows = [[name, *random.random(10).round(3)] for name in digits]
        csv.writer(file).writerows([["", *digits], *rows])
    log = [{"epoch": float(n), "step": 10 * n, "eval_accuracy": 0.5 + n / 20, "eval_loss": 1 / n} for n in range(1, 6)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    with (folder / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "step", "val_acc"), *((n, 10 * n, 0.5) for n in range(5))])
