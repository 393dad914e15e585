"""Small data, trained runs and a command line for every verb; each case works on a copy of them."""

import csv
import gzip
import importlib
import json
import multiprocessing
import os
import pkgutil
import random
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet

import labelemb
from labelemb.training.engines import local
from tests.campaign.trial import command, problem_of

EXPORTED_RUN = "runs/pretrained/label_embedding/seed-0"  # where transformers is installed
RUN, TEXT_RUN = "runs/digits/label_embedding/seed-0", "runs/words/label_embedding/seed-0"
PAIR_RUN, IMAGE_RUN = "runs/pairs/label_embedding/seed-0", "runs/images/label_embedding/seed-0"
SMALL = ["--model=mlp", "--width=8", "--epochs=2", "--threads=1", "--batch_size=500"]
DIGITS = ["digits", *SMALL]
WORDS = ["text", "--dataset=csv:words.csv", "--epochs=2", "--threads=1", "--hidden_size=4", "--name=words"]
IMAGES = ["digits", "--dataset=imagefolder:images", "--image_size=8", *SMALL, "--name=images"]
PRETRAINED = ["images", "--dataset=imagefolder:images", "--model=hf:pretrained", "--epochs=1", "--threads=1"]
PRETRAINED += ["--precision=fp32", "--batch_size=40", "--name=pretrained"]
KINDS = ("tsv", "jsonl", "jsonl.gz", "parquet")  # of data sets of text, beside csv
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
    "train damaged": ["train", *IMAGES, "--skip_damaged=true", "--out=new"],
    "train url": ["train", *DIGITS, "--out=file://new"],
    "train shard": ["train", *DIGITS, "--seeds=2", "--shard=2/2", "--out=new"],
    **{
        f"train {kind}": [
            "train",
            WORDS[0],
            f"--dataset={kind.removesuffix('.gz')}:words.{kind}",
            *WORDS[2:],
            "--out=new",
        ]
        for kind in KINDS
    },
    "compare": ["compare", *DIGITS, "--seed=0", "--method=cross_entropy,label_embedding", "--out=runs"],
    "ablate": ["ablate", *DIGITS, "--seed=0", "--terms=hard,soft", "--out=runs"],
    "sweep": ["sweep", "digits", "tau=1,2", *SMALL, "--seed=0", "--out=runs"],
    "translate": ["translate", PAIR_RUN],
    "predict": ["predict", IMAGE_RUN, "images/a/0.png", "images/b"],
    "predict text": ["predict", TEXT_RUN],
    "evaluate": ["evaluate", RUN, "--calibrate"],
    "evaluate decisions": ["evaluate", RUN, "--groups=groups.csv", "--decide=least_severe", "--predictions=new.csv"],
    "evaluate text": ["evaluate", TEXT_RUN, "--calibrate"],
    "evaluate pairs": ["evaluate", PAIR_RUN, "--output=new.txt"],
    "report": ["report", "runs/digits", "runs/pairs", "--out=new"],
    "report people": ["report", "runs/digits", "--human=human.csv", "--groups=groups.csv", "--out=new"],
    "import": ["import", "trainer_state.json", "--experiment=other", "--method=baseline", "--out=new"],
    "import csv": ["import", "metrics.csv", "--experiment=other", "--method=baseline", "--out=new"],
    "similar": ["similar", RUN, "3"],
    "agree": ["agree", RUN, "--human=human.csv", "--groups=groups.csv", "--permutations=9", "--out=new"],
    "export": ["export", RUN, "--to=csv", "--out=new/labels.csv"],
    "export npy": ["export", RUN, "--to=npy", "--out=new/labels.npy"],
    "export safetensors": ["export", RUN, "--to=safetensors", "--out=new/labels.safetensors"],
    "export tensorboard": ["export", RUN, "--to=tensorboard", "--out=new"],
    "export torch": ["export", RUN, "--to=torch", "--out=new/model.pt2"],
}
if find_spec("transformers"):
    COMMANDS["train pretrained"] = ["train", *PRETRAINED, "--out=new"]
    COMMANDS["export hf"] = ["export", EXPORTED_RUN, "--to=hf", "--out=new"]
# Those that write files; some of them train several runs, or draw charts, which takes 10 times as long.
WRITING = [name for name, line in COMMANDS.items() if any("new" in word or word == "--out=runs" for word in line)]
SLOW = {name for name in WRITING if name.split()[0] in ("report", "agree", "compare", "ablate", "sweep")}


def draw_writing(draw: random.Random, names: Sequence[str] = WRITING) -> str:
    """Return the name of a command that writes files; a slow one in a fifth of the cases."""
    slow = draw.random() < 0.2
    return draw.choice([name for name in names if (name in SLOW) == slow])


# Imported before a process becomes a user who may not read the files of Python.
PREPARED = [
    "transformers.models.vit",
    "xml.etree.ElementTree",
    "transformers.models.auto",
    "fsspec.implementations.local",
    "pyarrow.parquet",
    "sacrebleu",
    "sklearn.datasets",
    "onnxscript",
]
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
        *([["train", *PRETRAINED, "--out=runs"]] if "export hf" in COMMANDS else []),
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
        texts = [{"text": text, "label": label} for text, label in rows]
    lines = "".join(f"{json.dumps(row)}\n" for row in texts)
    (folder / "words.jsonl").write_text(lines)
    (folder / "words.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "words.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    parquet.write_table(pyarrow.Table.from_pylist(texts), folder / "words.parquet")
    if "export hf" in COMMANDS:
        _write_pretrained(folder / "pretrained")
    numbers = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(20):
            image = numbers.integers(256, size=(9, 9, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / "images" / label / f"{number}.png")
    digits = [str(digit) for digit in range(10)]
    with (folder / "human.csv").open("w", newline="") as file:
        rows = [[name, *numbers.random(10).round(3)] for name in digits]
        csv.writer(file).writerows([["", *digits], *rows])
    (folder / "groups.csv").write_text("".join(f"{digit},{'odd' if int(digit) % 2 else 'even'}\n" for digit in digits))
    log = [{"epoch": float(n), "step": 10 * n, "eval_accuracy": 0.5 + n / 20, "eval_loss": 1 / n} for n in range(1, 6)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    with (folder / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("epoch", "step", "val_acc"), *((n, 10 * n, 0.5) for n in range(5))])


def _write_pretrained(folder: Path) -> None:
    """Write a small image classifier of transformers with random weights."""
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=2, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
