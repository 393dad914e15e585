"""The classes of faults; each draws its cases from a random generator, so that no two campaigns are alike."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.campaign.trial import Tally, command, problem_of

RUN = "label_embedding/seed-0"
VALUES = [
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "9" * 23,
    "1e-400",
    "text",
    "",
    "null",
    "true",
    "[]",
    "{a: b}",
    "0x1",
    "\x1b[2J",
    "é",
]
OPTIONS = {
    "train": [
        "epochs",
        "batch_size",
        "width",
        "learning_rate",
        "weight_decay",
        "tau",
        "alpha",
        "beta",
        "seed",
        "seeds",
        "jobs",
        "threads",
        "method",
        "model",
        "dataset",
        "image_size",
        "mixup",
        "schedule",
        "terms",
        "impl",
        "precision",
        "embedding",
    ],
    "report": ["labels", "order", "reference"],
    "predict": ["top", "checkpoint"],
    "evaluate": ["data", "dataset", "checkpoint", "beam_size"],
    "similar": ["top", "frequent"],
    "export": ["to", "out", "data"],
}
JUNK = [
    None,
    True,
    0,
    -1,
    10**23,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\x1b[31m",
    [],
    [[]],
    {},
    {"a": {}},
    [None],
]


def options(tally: Tally, place: Path, run: Path, draw: random.Random) -> None:
    """Give an option of a command a value that it does not expect."""
    verb = draw.choice(list(OPTIONS))
    words = [f"--{name}={draw.choice(VALUES)}" for name in draw.sample(OPTIONS[verb], k=draw.choice([1, 1, 2]))]
    first = {
        "train": ["digits", "--epochs=1", f"--out={place}"],
        "report": [str(run.parent.parent), f"--out={place / 'report'}"],
        "similar": [str(run), "3"],
    }
    arguments = [verb, *first.get(verb, [str(run)]), *words]
    tally.note("options", " ".join(arguments), problem_of(*command(arguments, place)))


def _change(content: object, draw: random.Random) -> object:
    """Replace a random part of a JSON value."""
    if isinstance(content, dict) and content and draw.random() < 0.8:
        key = draw.choice(list(content))
        return (
            {**content, key: _change(content[key], draw)}
            if draw.random() < 0.8
            else {k: v for k, v in content.items() if k != key}
        )
    if isinstance(content, list) and content and draw.random() < 0.5:
        at = draw.randrange(len(content))
        return [*content[:at], _change(content[at], draw), *content[at + 1 :]]
    return draw.choice(JUNK)


def files(tally: Tally, place: Path, run: Path, draw: random.Random) -> None:
    """Damage a file of a run folder, or give it valid syntax and wrong values, and use the folder."""
    copy = place / "runs" / "digits" / RUN
    shutil.copytree(run, copy)
    (copy / "finished.json").unlink()
    target = draw.choice(sorted(file for file in copy.iterdir() if file.is_file() and file.name != ".lock"))
    if target.suffix == ".json" and draw.random() < 0.7:
        target.write_text(json.dumps(_change(json.loads(target.read_text()), draw)))
    elif target.suffix == ".jsonl" and draw.random() < 0.7:
        lines = [json.loads(line) for line in target.read_text().splitlines()]
        target.write_text("".join(json.dumps(_change(line, draw)) + "\n" for line in lines))
    elif target.suffix == ".yaml" and draw.random() < 0.7:
        lines = target.read_text().splitlines()
        at = draw.randrange(len(lines))
        lines[at] = f"{lines[at].partition(':')[0]}: {draw.choice(VALUES)}"
        target.write_text("\n".join(lines))
    else:
        content = bytearray(target.read_bytes())
        for _ in range(draw.choice([1, 10, 1000])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        target.write_bytes(content[: draw.choice([len(content), len(content) // 2, 10])])
    arguments = draw.choice(
        [
            ["train", "digits", "--epochs=2", f"--out={place / 'runs'}"],
            ["report", str(place / "runs"), f"--out={place / 'report'}"],
            ["evaluate", str(copy)],
            ["similar", str(copy), "3"],
            ["export", str(copy), f"--out={place / 'x.csv'}"],
        ]
    )
    tally.note("files", f"{arguments[0]} with another {target.name}", problem_of(*command(arguments, place)))


def full(tally: Tally, place: Path, run: Path, draw: random.Random) -> None:
    """Write to a device that is always full."""
    verb = draw.choice(["report", "similar", "evaluate", "export", "list", "show"])
    first = {
        "report": [str(run), f"--out={place}"],
        "similar": [str(run), "3"],
        "export": [str(run), "--out=/dev/full"],
        "list": [],
        "show": ["digits"],
    }
    arguments = [sys.executable, "-m", "labelemb", verb, *first.get(verb, [str(run)])]
    with open("/dev/full", "w") as device:
        done = subprocess.run(arguments, stdout=device, stderr=subprocess.PIPE, cwd=place, text=True)
    problem = problem_of(done.returncode, done.stderr) or (
        "" if "no space left" in done.stderr else f"said {done.stderr!r}"
    )
    tally.note("full", verb, problem)


def kills(tally: Tally, place: Path, run: Path, draw: random.Random) -> None:
    """Kill a training run at random moments, some with a second process beside it; the end result is the same."""
    arguments = ["train", "digits", "--epochs=2", "--threads=1", f"--out={place / 'runs'}"]
    for _ in range(draw.choice([1, 2, 3])):
        process = subprocess.Popen(
            [sys.executable, "-m", "labelemb", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(draw.uniform(0, 12))
        if draw.random() < 0.3:
            tally.note("two at once", "train", problem_of(*command(arguments, place)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    problem = problem_of(*command(arguments, place))
    made = place / "runs" / "digits" / RUN
    if not problem and (made / "labels.safetensors").read_bytes() != (run / "labels.safetensors").read_bytes():
        problem = "another result than without kills"
    left = [file.name for file in made.glob(".*.partial*")]
    tally.note("kills", "train", problem or (f"left {left}" if left else ""))


CLASSES = {"options": options, "files": files, "full": full, "kills": kills}
