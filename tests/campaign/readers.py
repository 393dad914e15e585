"""Readers of foreign bytes, fuzzed: whatever the bytes are, reading them works or is one DataError.

As a class of the campaign: random changes of valid files. With the mutations of atheris instead:
``python -m tests.campaign.readers READER -max_total_time=180``.
"""

import io
import json
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType

import numpy as np
import torch
from safetensors.torch import save

from labelemb.array_files import read_arrays
from labelemb.documents import parse_json, parse_yaml
from labelemb.errors import LabelembError
from labelemb.losses.soft_label_files import read_soft_labels
from labelemb.metrics.human import read_groups, read_similarity
from labelemb.runs.importers import read_log
from labelemb.tasks.seq2seq.text_io import lcsts, read_lines
from labelemb.tasks.text.files import Columns, read_file
from labelemb.tasks.vision.datasets.cifar_archives import parse_binary, parse_python
from labelemb.tasks.vision.datasets.mnist import parse_idx
from labelemb.terms.embedding import DenseLabelEmbedding, LabelEmbedding

TRIES = 200  # of a case of the campaign


@dataclass(frozen=True)
class Reader:
    """A reader and a valid file for it.

    Args:
        valid: Content of a valid file.
        read: Reads the content.
        suffix: Suffix of the file that ``read`` is given; "": it is given the bytes.
    """

    valid: bytes
    read: Callable[..., object]
    suffix: str = ""

    def __call__(self, content: bytes, folder: Path) -> str:
        """Read some bytes; return what is wrong with the end, or ""."""
        given: bytes | Path = content
        if self.suffix:
            given = folder / f"file{self.suffix}"
            given.write_bytes(content)
        try:
            result = self.read(given)
            if isinstance(result, Iterable) and not isinstance(result, torch.Tensor):
                for _ in result:
                    pass
        except LabelembError as error:
            return "" if "\n" not in str(error) and len(str(error)) < 3000 else f"a long message: {str(error)[:200]}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        return ""


def _arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, counts=np.eye(3), classes=np.array(["a", "b", "c"]))
    return file.getvalue()


def _embedding() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        DenseLabelEmbedding(3).save(Path(folder) / "a.safetensors", ["a", "b", "c"])
        return (Path(folder) / "a.safetensors").read_bytes()


def _table() -> bytes:
    return b",a,b,c\na,0.5,0.25,0.25\nb,0.25,0.5,0.25\nc,0.25,0.25,0.5\n"


BATCH = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1], b"batch_label": b"x"}
LCSTS = (
    "<doc id=0>\n<human_label>3</human_label>\n<summary>甲</summary>\n<short_text>乙 丙</short_text>\n</doc>\n"
    "<doc id=1><summary>丁</summary><short_text>戊</short_text></doc>\n"
).encode()
STATE = {"log_history": [{"epoch": 1.0, "step": 5, "eval_accuracy": 0.5, "eval_loss": 1.0}]}
NAMES = ["a", "b", "c"]
READERS = {
    "IDX": Reader(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(8), parse_idx),
    "CIFAR pickle": Reader(pickle.dumps(BATCH, 2), lambda content: parse_python(content, "batch", "fine")),
    "CIFAR pickle of protocol 4": Reader(pickle.dumps(BATCH, 4), lambda content: parse_python(content, "b", "fine")),
    "CIFAR binary": Reader(bytes(2 * 3073), lambda content: parse_binary(content, "batch", "fine", 1)),
    "label embedding": Reader(_embedding(), LabelEmbedding.load, ".safetensors"),
    "safetensors": Reader(save({"a": torch.eye(3)}), lambda path: read_soft_labels(path, NAMES), ".safetensors"),
    "arrays": Reader(_arrays(), lambda path: read_arrays(path, "arrays"), ".npz"),
    "votes": Reader(_arrays(), read_similarity, ".npz"),
    "soft labels": Reader(_table(), lambda path: read_soft_labels(path, NAMES), ".csv"),
    "similarity": Reader(_table(), read_similarity, ".csv"),
    "groups": Reader(b"a,x\nb,y\nc,x\n", lambda path: read_groups(path, NAMES), ".csv"),
    "LCSTS": Reader(LCSTS, lambda path: lcsts(path, 3)(), ".txt"),
    "lines": Reader("một\nhai\n".encode(), read_lines, ".txt"),
    **{
        kind: Reader(content, partial(lambda kind, path: read_file(path, kind, Columns()), kind), f".{kind}")
        for kind, content in {
            "csv": b'text,label\n"a, ""b""",x\nc,y\n',
            "tsv": b"text\tlabel\na\tx\nc\ty\n",
            "jsonl": b'{"text": "a", "label": "x"}\n{"text": "\\u00e9", "label": 3}\n',
        }.items()
    },
    "trainer_state": Reader(json.dumps(STATE).encode(), read_log, ".json"),
    "log": Reader(b"epoch,step,val_acc,val_loss\n1,5,0.5,1.0\n2,10,0.75,\n", read_log, ".csv"),
    "JSON": Reader(b'{"a": [1, 2.5, null, "\\ud83d\\ude00"]}', lambda b: parse_json(b.decode("latin-1"), "x", "JSON")),
    "YAML": Reader(
        b"a: 1\nb: [x, 2.5, 2001-01-01]\nc: {d: e}\n", lambda b: parse_yaml(b.decode("latin-1"), "x", "YAML")
    ),
}
PIECES = [b"\0", b"\xff", b"\n", b'"', b",", b"[" * 3000, b"9" * 5000, b"-1", b"nan", b"1e999", b"\xff\xff\xff\x7f"]
PIECES += [b"<doc id=", b"</doc>", b"\\ud800"]


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return the content with some bytes changed, inserted, removed or repeated."""
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        at = draw.randrange(len(content) + 1)
        kind = draw.randrange(5)
        if kind == 0:
            content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] + draw.choice(PIECES) + content[at + draw.randrange(4) :]
        elif kind == 2:
            content = content[:at] + content[at + draw.choice([1, 2, 8, 100]) :]
        elif kind == 3:
            other = draw.randrange(len(content) + 1)
            content = content[:at] + content[min(at, other) : max(at, other)] + content[at:]
        else:
            content = content[:at] + bytes([draw.choice([0, 1, 127, 128, 255])] * 4) + content[at + 4 :]
    return content[:100_000]


def readers(place: Path, draw: random.Random) -> tuple[str, str]:
    """Read many changes of a valid file."""
    name = draw.choice(list(READERS))
    for _ in range(TRIES):
        content = mutated(READERS[name].valid, draw)
        if problem := READERS[name](content, place):
            return f"{name} {content[:300]!r}", problem
    return f"{name}, {TRIES} times", ""


def main() -> None:
    """Fuzz one reader with atheris."""
    import atheris

    for module in [module for name, module in sys.modules.items() if name.startswith("labelemb.")]:
        for value in vars(module).values():  # which branches are taken guides the mutations
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                atheris.instrument_func(value)
    reader = READERS[sys.argv.pop(1)]
    folder = Path(tempfile.mkdtemp())
    seeds = folder / "seeds"
    seeds.mkdir()
    (seeds / "valid").write_bytes(reader.valid)

    def one(content: bytes) -> None:
        if problem := reader(content, folder):
            raise AssertionError(problem)

    atheris.Setup([*sys.argv, str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
