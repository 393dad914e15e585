"""Files, names and surroundings that nobody expects: bombs, devices, pipes, other encodings, other programs' files."""

import gzip
import io
import os
import pickle
import random
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.campaign.material import COMMANDS, GIVEN, IMAGE_RUN, PAIR_RUN, RUN, SMALL, TEXT_RUN
from tests.campaign.trial import End, command, problem_of

PNG = b"\x89PNG\r\n\x1a\n"
EXECUTED = "executed-by-a-file"


class _Runs:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (EXECUTED,)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG file that claims a size."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG + header + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")


def _zip(names: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file.getvalue()


def _tar(names: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


DEEP = "[" * 200_000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG = b"word " * (5 * 2**20)
BATCH = {b"data": np.zeros((3, 3072), np.uint8), b"labels": [0, 1, 2]}
CONTENTS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "zeros": lambda: bytes(1000),
    "noise": lambda: os.urandom(3000),
    "text": lambda: b"hello\nthere\n",
    "text in Latin-1": lambda: "text,label\né,ü\n".encode("latin-1"),
    "text in UTF-16": lambda: "text,label\na,b\n".encode("utf-16"),
    "surrogates": lambda: b'{"text": "\\ud800", "label": "\\udfff"}\n{"text": "a", "label": "b"}\n' * 20,
    "control characters": lambda: b'text,label\n"\x1b[2J a",\x1b[31m\nb,\x07\n' + b"c,d\n" * 30,
    "a long line": lambda: LONG,
    "deep JSON": lambda: DEEP.encode(),
    "deep JSON lines": lambda: b'{"text": "a", "label": "b"}\n' + b'{"a":' * 100_000,
    "a gzip bomb": lambda: gzip.compress(bytes(2**29), 9),
    "half a gzip file": lambda: gzip.compress(os.urandom(5000))[:3000],
    "a zip bomb": lambda: _zip({"a.npy": _npy("{'descr':'<f8','fortran_order':False,'shape':(99,99)}") + bytes(2**28)}),
    "a huge array": lambda: _npy("{'descr':'<f8','fortran_order':False,'shape':(99999999,99999999)}"),
    "a huge array in a zip": lambda: _zip(
        {f"{n}.npy": _npy("{'descr':'<f8','fortran_order':False,'shape':(9999999999,)}") for n in ("counts", "classes")}
    ),
    "an array of objects": lambda: _npy("{'descr':'|O','fortran_order':False,'shape':(1,)}") + pickle.dumps([_Runs()]),
    "an archive with a pickle": lambda: _zip({"archive/data.pkl": pickle.dumps(_Runs()), "archive/version": b"3"}),
    "a pickle": lambda: pickle.dumps({b"data": _Runs(), b"labels": [_Runs()]}),
    "a pickle with many objects": lambda: b")rTTTT.",
    "CIFAR": lambda: _tar(
        {f"x/{name}": pickle.dumps(BATCH) for name in ("data_batch_1", "test_batch", "batches.meta")}
    ),
    "a tar bomb": lambda: _tar({"x/data_batch_1": bytes(2**28), "../../../tmp/x": b"x"}),
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(" + EXECUTED.encode() + b") (w) file\n",
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "a huge image": lambda: png(60_000, 60_000),
    "an image of no size": lambda: png(0, 0),
    "an image that is cut": lambda: png(9, 9, bytes(20)),
    "a YAML bomb": lambda: BOMB.encode(),
    "YAML that runs": lambda: f"!!python/object/apply:os.mkdir [{EXECUTED}]".encode(),
    "LCSTS": lambda: b"<doc id=0>\n<human_label>" + b"9" * 5000 + b"</human_label>\n<summary>a</summary>\n</doc>\n",
    "LCSTS without end": lambda: b"<doc id=0>\n" + b"<summary>a</summary>\n" * 5000,
    "safetensors": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "safetensors with a long header": lambda: (10**8).to_bytes(8, "little") + b" " * 10**6,
    "IDX": lambda: b"\0\0\x08\xff" + b"\xff" * 1020,
    "events": lambda: struct.pack("<Q", 2**40) + bytes(20),
}


def _put(place: Path, name: str, content: bytes) -> str:
    file = place / "hostile" / name
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_bytes(content)
    return str(file.relative_to(place))


# Where a hostile file may be given: a name for it, and a command line made of its path.
PLACES: dict[str, Callable[[Path, bytes], list[str]]] = {
    "predict": lambda place, data: ["predict", IMAGE_RUN, _put(place, "x.png", data)],
    "predict JPEG": lambda place, data: ["predict", RUN, _put(place, "x.jpg", data), "--json"],
    "images": lambda place, data: (_put(place, "../images/a/x.png", data), COMMANDS["train images"])[1],
    "csv": lambda place, data: ["train", "text", f"--dataset=csv:{_put(place, 'x.csv', data)}", *WORDS],
    "tsv": lambda place, data: ["train", "text", f"--dataset=tsv:{_put(place, 'x.tsv', data)}", *WORDS],
    "jsonl": lambda place, data: ["train", "text", f"--dataset=jsonl:{_put(place, 'x.jsonl.gz', data)}", *WORDS],
    "parquet": lambda place, data: ["train", "text", f"--dataset=parquet:{_put(place, 'x.parquet', data)}", *WORDS],
    "evaluate csv": lambda place, data: ["evaluate", TEXT_RUN, f"--dataset=csv:{_put(place, 'x.csv', data)}"],
    "test file": lambda place, data: [*COMMANDS["train text"], f"--test_file={_put(place, 'x.csv', data)}"],
    "mnist": lambda place, data: ["train", "mnist-mlp", f"--data={_mnist(place, data)}", "--out=new"],
    "cifar": lambda place, data: ["train", "cifar10-small", f"--data={_cifar(place, data)}", "--out=new"],
    "cifar parquet": lambda place, data: ["train", "cifar10-small", f"--data={_parquet(place, data)}", "--out=new"],
    "source": lambda place, data: [_given(w, "train_src", _put(place, "x", data)) for w in COMMANDS["preprocess"]],
    "target": lambda place, data: [_given(w, "valid_tgt", _put(place, "x", data)) for w in COMMANDS["preprocess"]],
    "LCSTS": lambda place, data: [
        *("preprocess", "--char", "--save_data=new"),
        *(f"--{split}_src={_put(place, 'x', data)}" for split in ("train", "valid")),
    ],
    "vocabulary": lambda place, data: [*COMMANDS["preprocess"], f"--src_vocab={_put(place, 'x', data)}"],
    "translate": lambda place, data: ["translate", PAIR_RUN],
    "predict lines": lambda place, data: ["predict", TEXT_RUN],
    "evaluate lines": lambda place, data: ["evaluate", PAIR_RUN, f"--src={_put(place, 'x', data)}", "--tgt=valid.tgt"],
    "preset": lambda place, data: ["train", _put(place, "x.yaml", data), "--out=new"],
    "show": lambda place, data: ["show", _put(place, "x.yaml", data)],
    "embedding": lambda place, data: [
        *("train", "digits", *SMALL, "--out=new", "--method=frozen_embedding"),
        f"--embedding={_put(place, 'x.safetensors', data)}",
    ],
    **{
        f"soft labels {suffix}": lambda place, data, suffix=suffix: [  # type: ignore[misc]
            *("train", "digits", *SMALL, "--out=new", "--method=soft_labels"),
            f"--soft_labels={_put(place, f'x.{suffix}', data)}",
        ]
        for suffix in ("csv", "npy", "safetensors")
    },
    "restore": lambda place, data: [*COMMANDS["train pairs"], f"--restore={_put(place, 'x.pt', data)}"],
    "checkpoint": lambda place, data: ["translate", _put(place, f"../{PAIR_RUN}/last.pt", data)],
    "similar": lambda place, data: ["similar", _put(place, "x.safetensors", data), "3"],
    "export": lambda place, data: ["export", _put(place, "x.safetensors", data), "--to=csv"],
    "human": lambda place, data: ["agree", RUN, f"--human={_put(place, 'x.npz', data)}"],
    "human csv": lambda place, data: ["agree", RUN, f"--human={_put(place, 'x.csv', data)}"],
    "groups": lambda place, data: ["agree", RUN, "--human=human.csv", f"--groups={_put(place, 'x.npz', data)}"],
    "source csv": lambda place, data: ["agree", _put(place, "x.csv", data), "--human=human.csv"],
    **{
        f"log {name}": lambda place, data, name=name: [  # type: ignore[misc]
            *("import", _put(place, name, data), "--experiment=a", "--method=b", "--out=new")
        ]
        for name in ("trainer_state.json", "metrics.csv", "x.csv", "events.out.tfevents.1.x")
    },
}
WORDS = ["--epochs=1", "--hidden_size=4", "--out=new"]


def _given(word: str, option: str, path: str) -> str:
    return f"--{option}={path}" if word.startswith(f"--{option}=") else word


def _mnist(place: Path, data: bytes) -> str:
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        _put(place, f"{name}.gz", data)
    return str(Path(_put(place, "t10k-labels-idx1-ubyte", data)).parent)


def _cifar(place: Path, data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        return str(Path(_put(place, "cifar-10-python.tar.gz", data)).parent)
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]
    for name in names:
        _put(place, f"cifar-10-batches-py/{name}", data)
    return "hostile"


def _parquet(place: Path, data: bytes) -> str:
    _put(place, "plain_text/test-0.parquet", data)
    return str(Path(_put(place, "plain_text/train-0.parquet", data)).parent.parent)


def hostile(place: Path, draw: random.Random) -> tuple[str, str]:
    """Give a file of another kind, or one made to hurt, where a command reads one."""
    where, what = draw.choice(list(PLACES)), draw.choice(list(CONTENTS))
    data = CONTENTS[what]()
    line = PLACES[where](place, data)
    end = command(line, place, data if where in ("translate", "predict lines") else GIVEN.get(where, b""))
    problem = problem_of(end) or ("executed it" if list(place.rglob(EXECUTED)) else "")
    return f"{what} as {where}", problem


NAMES = [
    os.fsdecode(b"\xff\xfe"),
    "\x1b[2J",
    "a\nb",
    " ",
    "-x",
    "é",
    "a" * 200,
    "=1+1",
    "'",
    '"',
    "a;b",
    "$(x)",
    "\u202e",
    "%s",
]


def names(place: Path, draw: random.Random) -> tuple[str, str]:
    """Give files and folders names that are not UTF-8, or that could be something else."""
    name, which = draw.choice(NAMES), draw.choice(list(RENAMED))
    line = RENAMED[which](place, name)
    end = command(line, place, GIVEN.get(which, b""))
    return f"{which} named {name!r}", problem_of(end) or _done(end, which)


def _done(end: End, which: str) -> str:
    return "" if end.code in (0, 2) else f"{which}: {end.said}"


def _moved(place: Path, old: str, new: str) -> str:
    (place / old).rename(place / new)
    return f"./{new}"


RENAMED: dict[str, Callable[[Path, str], list[str]]] = {
    "train": lambda place, name: [*COMMANDS["train"][:-1], f"--out={name}"],
    "train images": lambda place, name: [
        "train",
        "digits",
        f"--dataset=imagefolder:{_moved(place, 'images', name)}",
        *COMMANDS["train images"][3:],
    ],
    "label": lambda place, name: (_moved(place, "images/a", f"images/{name}"), COMMANDS["train images"])[1],
    "text": lambda place, name: ["train", "text", f"--dataset=csv:{_moved(place, 'words.csv', name)}", *WORDS],
    "predict": lambda place, name: ["predict", IMAGE_RUN, _moved(place, "images/a/0.png", f"{name}.png"), "--json"],
    "report": lambda place, name: ["report", _moved(place, "runs", name), f"--out=./{name}/new"],
    "evaluate": lambda place, name: ["evaluate", _moved(place, RUN, name)],
    "preprocess": lambda place, name: [*COMMANDS["preprocess"], f"--train_src={_moved(place, 'train.src', name)}"],
    "import": lambda place, name: ["import", *COMMANDS["import"][1:3], f"--method={name}", f"--out={name}"],
    "export": lambda place, name: ["export", RUN, f"--out=./{name}.csv"],
    "similar": lambda place, name: ["similar", RUN, "--", name],
    "agree": lambda place, name: [
        "agree",
        RUN,
        f"--human={_moved(place, 'human.csv', name + '.csv')}",
        f"--out={name}",
    ],
}


def surroundings(place: Path, draw: random.Random) -> tuple[str, str]:
    """Run with other variables of the environment, or with pipes and devices in the place of files."""
    name = draw.choice(list(COMMANDS))
    line = list(COMMANDS[name])
    if draw.random() < 0.5:
        variable, value = (
            draw.choice(list(VARIABLES)),
            draw.choice(["", "x", "-1", "0", "1" * 30, "\x1b[2J", "/dev/null"]),
        )
        end = command(line, place, GIVEN.get(name, b""), before=lambda: os.environ.update({variable: value}))
        return f"{name} with {variable}={value!r}", problem_of(end)
    at = draw.choice([number for number, word in enumerate(line) if number and not word.startswith("--threads")] or [0])
    option, separator, _ = line[at].rpartition("=")
    kind = draw.choice(
        ["/dev/zero", "/dev/urandom", "/dev/null", "/dev/tty", "/proc/self/mem", "pipe", "socket", "loop"]
    )
    if kind == "pipe":
        os.mkfifo(place / "pipe")
        content = draw.choice([b"a b\n" * 100, b"", (place / "train.src").read_bytes()])
        other_end = (_drain, ()) if option in OUTPUTS else (_feed, (content,))
        threading.Thread(target=other_end[0], args=(place / "pipe", *other_end[1]), daemon=True).start()
    if kind == "loop":
        (place / "loop").symlink_to("loop")
    if at:
        line[at] = f"{option}{separator}{kind}"
    end = command(line, place, GIVEN.get(name, b""))
    return f"{' '.join(line)}", problem_of(end)


VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LABELEMB_DATA", "XDG_CACHE_HOME", "HOME", "COLUMNS", "TERM", "TMPDIR")


OUTPUTS = ("--out", "--output", "--predictions", "--report", "--save_data")  # written to: a pipe needs a reader


def _drain(pipe: Path) -> None:
    with suppress(OSError):
        pipe.read_bytes()


def _feed(pipe: Path, content: bytes) -> None:
    with suppress(OSError):
        pipe.write_bytes(content)
