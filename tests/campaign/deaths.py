"""Processes that are killed, interrupted, or work on one folder at the same time."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.campaign.material import COMMANDS, GIVEN, draw_writing
from tests.campaign.trial import Child, End, command, leftovers, problem_of

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "os.link")
TIMES = re.compile(r'"(seconds|\w+_per_second)": [0-9.e+-]+|<script.*?</script>|\d+\.?\d* s\b|[0-9.,]+ \w+ per second')


def dying(operations: int) -> Callable[[], None]:
    """Return what makes a process kill itself before its n-th change of a file below its folder."""

    def prepare() -> None:
        left, own = operations, os.getcwd()

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event not in EVENTS:
                return
            path = os.path.abspath(os.fsdecode(arguments[0])) if isinstance(arguments[0], str | bytes | Path) else ""
            writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if path.startswith(own) and writes:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return prepare


def kills(place: Path, draw: random.Random) -> tuple[str, str]:
    """Kill a command before some of its file operations, then let it run: the files are those of one never killed."""
    name = draw_writing(draw)
    whole, killed = place, place.parent / "killed"
    subprocess.run(["cp", "-r", str(place), str(killed)], check=True)
    line, given = COMMANDS[name], GIVEN.get(name, b"")
    moments = [draw.choice([draw.randrange(1, 12), draw.randrange(1, 60)]) for _ in range(draw.choice([1, 1, 2, 3]))]
    for moment in moments:
        end = command(line, killed, given, before=dying(moment))
        if end.code not in (0, -signal.SIGKILL) and _again(name, end):
            return f"{name} killed at {moments}", problem_of(end) or f"exit code {end.code}: {end.said[:200]}"
    ends = [command(line, folder, given) for folder in (whole, killed)]
    problem = problem_of(ends[1]) or ("" if ends[1].code == 0 else _again(name, ends[1])) or difference(whole, killed)
    return f"{name} killed at {moments}", problem or (f"left {left}" if (left := leftovers(killed)) else "")


def _again(name: str, end: End) -> str:
    """Return what is wrong with a command that refuses to run again: a finished import or export to a folder does."""
    refusals = {"import": "a folder without a run", "export hf": "a new or empty folder"}
    return "" if any(name.startswith(kind) and says in end.said for kind, says in refusals.items()) else end.said


def difference(one: Path, other: Path) -> str:
    """Return the first file that differs between two folders, times aside."""
    for file in sorted(one.rglob("*")):
        twin = other / file.relative_to(one)
        if file.is_dir() or "cache" in file.parts or file.name in (".lock", "signature.json"):
            continue
        if not twin.is_file():
            return f"no {file.relative_to(one)}"
        if file.suffix == ".pt":
            same = _equal(*(torch.load(path, weights_only=True) for path in (file, twin)))
        elif file.suffix in (".json", ".jsonl", ".html", ".md", ".txt"):
            same = len({TIMES.sub("", path.read_text().replace(str(path.parent), "")) for path in (file, twin)}) == 1
        else:
            same = file.suffix in (".svg", ".png", ".pt2") or file.read_bytes() == twin.read_bytes()
        if not same and file.name not in ("report.html", "table.csv", "table.txt", "table.md"):  # which tell times
            return f"another {file.relative_to(one)}"
    return ""


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one if "second" not in str(key)]
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other  # type: ignore[arg-type]


def pairs(place: Path, draw: random.Random) -> tuple[str, str]:
    """Run a command twice at the same time in one folder, with a kill of one of them at times."""
    name = draw_writing(draw)
    line, given = COMMANDS[name], GIVEN.get(name, b"")
    first = Child(line, place, given)
    time.sleep(draw.uniform(0, 2))
    second = Child(line, place, given)
    killed = draw.random() < 0.3
    if killed:
        time.sleep(draw.uniform(0, 2))
        first.kill()
    ends = [first.wait(), second.wait()]
    problems = [problem_of(end) for end in (ends[1:] if killed else ends)]
    last = command(line, place, given)
    problems += [problem_of(last) or ("" if last.code == 0 else _again(name, last))]
    problems += [f"left {left}" if (left := leftovers(place)) else ""]
    problems += [_readable(place / "new")]
    return f"two of {name}{', one killed' * killed}", "; ".join(filter(None, problems))


def _readable(folder: Path) -> str:
    """Return what is wrong with the JSON files of a folder."""
    for file in folder.rglob("*.json*"):
        try:
            [json.loads(line) for line in file.read_text().splitlines()] if file.suffix == ".jsonl" else json.loads(
                file.read_text()
            )
        except ValueError as error:
            return f"{file}: {error}"
    return ""


def interrupts(place: Path, draw: random.Random) -> tuple[str, str]:
    """Press Ctrl-C, or end the terminal, in the first seconds of a process that still imports."""
    name, delay = draw.choice([*COMMANDS, "train"]), draw.choice([draw.uniform(0.2, 3), draw.uniform(0.2, 15)])
    program = "import sys; from labelemb_command import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *COMMANDS[name]],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell lets the jobs that it runs in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"{name}, Ctrl-C after {delay:.1f} s", "no end"
    text = said.decode(errors="replace")
    fine = process.returncode == 0 or (process.returncode == 130 and text.count("\n") == 1 and "Traceback" not in text)
    return f"{name}, Ctrl-C after {delay:.1f} s", "" if fine else f"exit code {process.returncode}: {text[-300:]!r}"
