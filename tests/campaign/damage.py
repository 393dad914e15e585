"""Files of run folders, corpora and data that are damaged, or have valid syntax and wrong values."""

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch
import yaml
from pyarrow import parquet
from safetensors.torch import load, save

from tests.campaign.material import COMMANDS, EXPORTED_RUN, GIVEN, IMAGE_RUN, KINDS, PAIR_RUN, RUN, TEXT_RUN
from tests.campaign.trial import command, leftovers, problem_of

JUNK: list[Any] = [
    *(None, True, False, 0, 1, -1, 10**23, 10**400, 1e308, 0.5, float("nan"), float("inf"), "", "text", "\x1b[31m"),
    *("\u202e", "\ud800", "../../x", "9" * 5000, [], [[]], {}, {"a": {}}, [None], [1, 2], ["a", "a"], [0.5] * 100),
]
# What reads each folder or file of the material.
READERS: dict[str, list[list[str]]] = {
    RUN: [
        ["train", *COMMANDS["train"][1:-1], "--out=runs"],
        ["report", "runs/digits", "--out=new"],
        *(COMMANDS[name] for name in ("compare", "evaluate", "similar", "agree", "export", "export tensorboard")),
        ["predict", RUN, "images"],
        ["train", *COMMANDS["train"][1:], f"--restore={RUN}/last.pt"],
    ],
    TEXT_RUN: [
        ["train", *COMMANDS["train text"][1:-1], "--out=runs"],
        ["report", "runs/words", "--out=new"],
        COMMANDS["evaluate text"],
        COMMANDS["predict text"],
    ],
    PAIR_RUN: [
        ["train", *COMMANDS["train pairs"][1:-1], "--out=runs"],
        ["report", "runs/pairs", "--out=new"],
        COMMANDS["translate"],
        COMMANDS["evaluate pairs"],
    ],
    IMAGE_RUN: [["report", "runs/images", "--out=new"], COMMANDS["predict"], ["evaluate", IMAGE_RUN]],
    "pairs": [COMMANDS["train pairs"], ["evaluate", PAIR_RUN], [*COMMANDS["preprocess"][:-1], "--save_data=pairs"]],
    "images/a": [COMMANDS["train images"], COMMANDS["predict"]],
    ".": [COMMANDS[name] for name in ("preprocess", "preprocess characters", "import", "import csv", "agree")]
    + [COMMANDS[name] for name in ("train text", "evaluate decisions", "report people")]
    + [COMMANDS[f"train {kind}"] for kind in KINDS],
    "images/b": [COMMANDS["train damaged"]],
    **(
        {EXPORTED_RUN: [COMMANDS["export hf"]], "pretrained": [COMMANDS["export hf"]]}
        if "export hf" in COMMANDS
        else {}
    ),
}


def damage(place: Path, draw: random.Random) -> tuple[str, str]:
    """Damage a file, or give it wrong values, and run a command that reads it."""
    where = draw.choice([*READERS, RUN, RUN])
    folder = place / where
    line = draw.choice(READERS[where])
    files = [file for file in folder.iterdir() if file.is_file() and file.name != ".lock"]
    if where == ".":  # those that the command reads
        files = [file for file in files if any(file.name in argument for argument in line)]
    if line[0] in ("train", "compare") and draw.random() < 0.7:
        (folder / "finished.json").unlink(missing_ok=True)
    target = draw.choice([file for file in files if file.name != "finished.json"])
    if target.exists():
        draw.choice([change_values, change_values, change_bytes])(target, draw)
    end = command(line, place, GIVEN.get("translate" if line[0] == "translate" else "predict text", b""))
    problem = problem_of(end) or (f"left {left}" if (left := leftovers(place)) else "")
    return f"{' '.join(line)} with another {where}/{target.name}", problem


def change_bytes(target: Path, draw: random.Random) -> None:
    """Change, cut or repeat bytes."""
    content = bytearray(target.read_bytes()) or bytearray(b"x")
    for _ in range(draw.choice([0, 1, 10, 1000])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    cut = draw.choice([len(content), len(content), len(content) // 2, 10, 0])
    target.write_bytes(bytes(content[:cut]) * draw.choice([1, 1, 1, 2]))


def change_values(target: Path, draw: random.Random) -> None:
    """Keep the syntax of a file and change a value in it; bytes of a file whose syntax is unknown."""
    change = CHANGES.get(target.suffix, change_bytes)
    change(target, draw)


def changed(content: Any, draw: random.Random) -> Any:
    """Replace a random part of a JSON value."""
    if isinstance(content, dict) and content and draw.random() < 0.9:
        key = draw.choice(list(content))
        kind = draw.random()
        if kind < 0.7:
            return {**content, key: changed(content[key], draw)}
        if kind < 0.85:
            return {name: value for name, value in content.items() if name != key}
        return {**content, draw.choice(["new", "", "\x1b[2J", "step"]): draw.choice(JUNK)}
    if isinstance(content, list) and content and draw.random() < 0.7:
        at = draw.randrange(len(content))
        pieces = [[changed(content[at], draw)], [], [content[at]] * 2]
        return [*content[:at], *draw.choice(pieces), *content[at + 1 :]]
    return draw.choice(JUNK)


def _json(target: Path, draw: random.Random) -> None:
    target.write_text(json.dumps(changed(json.loads(target.read_text()), draw)))


def _lines(target: Path, draw: random.Random) -> None:
    lines = changed([json.loads(line) for line in target.read_text().splitlines()], draw)
    target.write_text("".join(json.dumps(line) + "\n" for line in (lines if isinstance(lines, list) else [lines])))


def _yaml(target: Path, draw: random.Random) -> None:
    target.write_bytes(
        yaml.safe_dump(changed(yaml.safe_load(target.read_text()), draw)).encode("utf-8", "surrogatepass")
    )


def _csv(target: Path, draw: random.Random) -> None:
    rows = changed(list(csv.reader(io.StringIO(target.read_text()))), draw)
    kept = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) and draw.random() < 0.9 else []
    with target.open("w", newline="", errors="replace") as file:
        csv.writer(file).writerows(kept)


def _parquet(target: Path, draw: random.Random) -> None:
    rows = changed(parquet.read_table(target).to_pylist(), draw)
    values: list[Any] = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    try:
        table = pyarrow.Table.from_pylist(values)
    except (pyarrow.ArrowException, OverflowError, UnicodeError):  # values that no column can hold
        table = pyarrow.table({"text": pyarrow.array([draw.randrange(9)] * 5), "label": pyarrow.nulls(5)})
    parquet.write_table(table, target)


def _text(target: Path, draw: random.Random) -> None:
    lines = changed(target.read_text(errors="replace").split("\n"), draw)
    parts = map(str, lines if isinstance(lines, list) else [lines])
    target.write_bytes("\n".join(parts).encode("utf-8", "surrogatepass"))


def tensors(value: Any, draw: random.Random) -> Any:
    """Return another tensor in the place of one: shape, type, layout or values differ."""
    changes: list[Callable[[Any], Any]] = [
        lambda old: old.double(),
        lambda old: old.to(torch.int64),
        lambda old: old * float("nan"),
        lambda old: old * 1e38,
        lambda old: old[None],
        lambda old: old.flatten()[:1],
        lambda old: old.flatten()[:0],
        lambda old: old.to_sparse(),
        lambda old: torch.zeros(1).expand(10**9),
        lambda old: old.to(torch.complex64),
    ]
    return draw.choice(changes)(value)


def _checkpoint(target: Path, draw: random.Random) -> None:
    content = torch.load(target, weights_only=True)
    part, key = content, draw.choice(list(content))
    while isinstance(part[key], dict) and part[key] and draw.random() < 0.9:
        part = part[key]
        key = draw.choice(list(part))
    if isinstance(part[key], torch.Tensor) and draw.random() < 0.7:
        part[key] = tensors(part[key], draw)
    elif draw.random() < 0.2:
        del part[key]
    else:
        part[key] = changed(part[key], draw)
    torch.save(content, target)


def _safetensors(target: Path, draw: random.Random) -> None:
    raw = target.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    if draw.random() < 0.5:
        text = json.dumps(changed(header, draw)).encode()
        target.write_bytes(draw.choice([len(text), size, 2**63, 0]).to_bytes(8, "little") + text + raw[8 + size :])
        return
    content = load(raw)
    key = draw.choice(list(content))
    other = tensors(content[key], draw)
    if other.layout == torch.strided and other.numel() < 10**6:
        content[key] = other.contiguous()
    metadata = changed(header["__metadata__"], draw)
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    target.write_bytes(save(content, {_encodable(name): _encodable(value) for name, value in pairs}))


def _encodable(value: object) -> str:
    return str(value).encode(errors="replace").decode()


def _npz(target: Path, draw: random.Random) -> None:
    with np.load(target) as file:
        content = {name: file[name] for name in file.files}
    key = draw.choice(list(content))
    old = content[key]
    replacements = [old.astype("U5"), old[:-1], old[None], old * 0 - 1, old.astype(float) * np.nan, old.astype("M8[s]")]
    replacements += [old.astype(complex), np.zeros(0), np.array(5), old.astype("u8") + 10**9]
    content[draw.choice([key, "other", "last/other/label"])] = draw.choice(replacements)
    if draw.random() < 0.2:
        del content[draw.choice(list(content))]
    np.savez(target, **content)
    if draw.random() < 0.1:
        with zipfile.ZipFile(target, "a") as archive:
            archive.writestr("text", b"text")


CHANGES: dict[str, Callable[[Path, random.Random], None]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".yaml": _yaml,
    ".csv": _csv,
    ".parquet": _parquet,
    ".pt": _checkpoint,
    ".safetensors": _safetensors,
    ".npz": _npz,
    **dict.fromkeys((".src", ".tgt", ".txt", ".vocab"), _text),
}
