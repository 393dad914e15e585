"""Faults of the file system: a full disk, a read-only folder, files without permission, limits on the size of files."""

import contextlib
import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaign.material import COMMANDS, GIVEN, WRITING, draw_writing
from tests.campaign.trial import Child, End, command, files_in, leftovers, problem_of

NOBODY = 65534


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a disk of ``size`` bytes at a folder; False where the system does not let us."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def full(place: Path, draw: random.Random) -> tuple[str, str]:
    """Write to a disk that becomes full, or to an output that is; the message says so and names the file."""
    if draw.random() < 0.2:
        return _full_output(place, draw)
    name = draw_writing(draw, [name for name in WRITING if "--out=runs" not in COMMANDS[name]])
    line = [word.replace("=new", "=disk/new").replace("//new", "//disk/new") for word in COMMANDS[name]]
    size = draw.randrange(1, 60) * 4096
    with small_disk(place / "disk", size) as mounted:
        (place / "disk").chmod(0o777)
        limit = None if mounted else _limit(size)
        end = command(line, place, GIVEN.get(name, b""), before=limit)
        left = leftovers(place)
    return f"{' '.join(line)} with {size} bytes", problem_of(end) or _refusal(end, NO_SPACE) or _left(left)


NO_SPACE = ("no space left", "file too large", "disk quota")
NO_PERMISSION = ("permission denied", "read-only", "not permitted", "no permission")


def _full_output(place: Path, draw: random.Random) -> tuple[str, str]:
    name = draw.choice(list(COMMANDS))
    with open("/dev/full", "wb") as device:
        end = Child(COMMANDS[name], place, GIVEN.get(name, b""), stdout=device).wait()
    return f"{name} > /dev/full", problem_of(end) or _refusal(end, NO_SPACE)


def _limit(size: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _refusal(end: End, reasons: tuple[str, ...]) -> str:
    """Return what is wrong with an end that is a success, or one line with one of the reasons."""
    fine = end.code == 0 or (end.code == 2 and any(reason in end.said.lower() for reason in reasons))
    return "" if fine else f"exit code {end.code}: {end.said[:300]!r}"


def _left(left: list[str]) -> str:
    return f"left {left}" if left else ""


def forbidden(place: Path, draw: random.Random) -> tuple[str, str]:
    """Run as a user who may not write a folder, or not read a file."""
    name = draw.choice([*COMMANDS]) if draw.random() < 0.5 else draw_writing(draw)
    for file in (place, *place.rglob("*")):
        file.chmod(0o777 if file.is_dir() else 0o666)
    kind = draw.choice(["folders", "file", "output"])
    before = files_in(place)
    if kind == "output":
        (place / "new").mkdir(exist_ok=True)
        (place / "new").chmod(0o555)
    elif kind == "folders":
        for folder in (place, *place.rglob("*")):
            if folder.is_dir():
                folder.chmod(0o555)
    else:
        target = draw.choice([file for file in sorted(place.rglob("*")) if ".lock" not in file.name])
        target.chmod(0)
        kind = f"{target.relative_to(place)} locked up"
    place.parent.chmod(0o755)
    end = command(COMMANDS[name], place, GIVEN.get(name, b""), before=_become_nobody)
    for folder in (place, *place.rglob("*")):
        folder.chmod(0o777)
    problem = problem_of(end) or _refusal(end, NO_PERMISSION)
    if not problem and end.code == 2 and (new := files_in(place) - before):
        problem = f"refused, but left {sorted(new)[:3]}" if name.split()[0] not in ("report", "agree") else ""
    return f"{' '.join(COMMANDS[name])}, {kind}", problem


def _become_nobody() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.environ["XDG_CACHE_HOME"] = "/nonexistent"
