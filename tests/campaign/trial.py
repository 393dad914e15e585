"""One command in a process of its own, and what counts as a good end."""

import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SECONDS = 120  # of processor time; a command that takes more hangs, and one that waits for 5 times as long
MOST_MEMORY = 1.5 * 2**30  # bytes that a command on tiny data may need
LEFTOVER = re.compile(r"\..*\.partial|.*\.pid|tmp\w{8}")


@dataclass
class Tally:
    """Tries and failures of each class."""

    tried: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)  # of processor time
    failures: list[str] = field(default_factory=list)

    def note(self, kind: str, number: int, what: str, problem: str, seconds: float) -> None:
        """Count a try; ``problem`` is "" when it ended well."""
        self.tried[kind] += 1
        self.seconds[kind] += seconds  # type: ignore[assignment]
        if problem:
            self.failures.append(f"{kind}:{number}: {what}: {problem}")
            print(self.failures[-1], flush=True)

    def add(self, other: "Tally") -> None:
        """Add the tries and failures of another tally."""
        self.tried += other.tried
        self.seconds += other.seconds
        self.failures += other.failures

    def summary(self, planned: int) -> str:
        """Return a line per class and one for all."""
        failed = Counter(failure.partition(":")[0] for failure in self.failures)
        rows = [(kind, n, failed[kind], self.seconds[kind]) for kind, n in sorted(self.tried.items())]
        rows.append(("all", self.tried.total(), len(self.failures), self.seconds.total()))
        lines = [
            f"{kind:12} {n:5} tried {n - bad:5} passed {bad:4} failed  {seconds:6.0f} s of processor time"
            for kind, n, bad, seconds in rows
        ]
        if left := planned - self.tried.total():
            lines.append(f"{left} cases were not begun, for want of time")
        return "\n".join(lines)


@dataclass(frozen=True)
class End:
    """How a command ended.

    Args:
        code: Exit code; minus the number of a signal; None when it was killed because it took too long.
        out: What it wrote on stdout.
        said: What it wrote on stderr.
        memory: Bytes of memory that it took, beyond what imports take.
    """

    code: int | None
    out: str
    said: str
    memory: int


class Child:
    """A running command: a fork of this process, which has imported everything already.

    Args:
        arguments: Of ``labelemb``.
        folder: Its working directory.
        given: Its standard input.
        before: Called in the child before the command.
        stdout: File for the output in place of a temporary one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        given: bytes = b"",
        before: Callable[[], object] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> None:
        self._own = tempfile.TemporaryFile()
        self._out, self._err, stdin = stdout or self._own, tempfile.TemporaryFile(), tempfile.TemporaryFile()
        stdin.write(given)
        stdin.seek(0)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            stdin.close()
            return
        code = 70
        try:
            os.setsid()
            for file, number in ((stdin, 0), (self._out, 1), (self._err, 2)):
                os.dup2(file.fileno(), number)
            os.chdir(folder)
            os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
            code = _command(arguments, before)
        finally:
            os._exit(code)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the command and to the processes that it started."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, seconds: float = 5 * SECONDS) -> End:
        """Wait for the end."""
        end, late = time.monotonic() + seconds, False
        while True:
            done, status, used = os.wait4(self.pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > end and not late:
                late = True
                self.kill()
            time.sleep(0.005)
        self.kill()  # what it started ends with it
        texts = []
        for file in (self._own, self._err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        code = None if late else os.waitstatus_to_exitcode(status)
        code = None if code == -signal.SIGXCPU else code
        return End(code, *texts, memory=1024 * used.ru_maxrss - _resident())


def command(
    arguments: Sequence[str], folder: Path, given: bytes = b"", before: Callable[[], object] | None = None
) -> End:
    """Run ``labelemb ARGUMENTS`` to its end."""
    return Child(arguments, folder, given, before).wait()


def _command(arguments: Sequence[str], before: Callable[[], object] | None) -> int:
    from labelemb.cli import main

    sys.argv = ["labelemb", *arguments]
    before_fork = sys.stdin, sys.stdout, sys.stderr  # closed when nothing refers to them, with descriptors 0 to 2
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", errors="backslashreplace")
    most = 2**34
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # a last resort for the machine
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    try:
        if before is not None:
            before()
        code = main()
        sys.stdout.flush()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    del before_fork
    return code


def problem_of(end: End) -> str:
    """Return what is wrong with the end of a command: "" for success, and for exit code 2 with one line."""
    if end.code is None:
        return f"no end after {SECONDS} s"
    if "Traceback" in end.said:
        return f"a traceback: {end.said.strip().splitlines()[-1][:300]}"
    if end.code not in (0, 1, 2, 3):
        return f"exit code {end.code}: {end.said[-200:]!r}"
    if end.code in (2, 3) and (end.said.count("\n") != 1 or not end.said.startswith("labelemb: ")):
        return f"{end.said.count(chr(10))} lines: {end.said[:300]!r}"
    if any((ord(letter) < 32 and letter not in "\n\t") or letter in "\x7f\x9b\u202e" for letter in end.said + end.out):
        return f"control characters: {(end.said + end.out)[:300]!r}"
    if end.memory > MOST_MEMORY:
        return f"took {end.memory / 2**30:.1f} GB"
    return ""


def files_in(folder: Path) -> set[str]:
    """Return the names of all files below a folder, locks aside."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if not file.is_dir())
    return {str(name) for name in found if name.name not in (".lock", "lock") and "cache" not in name.parts}


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files below a folder."""
    return sorted(name for name in files_in(folder) if any(LEFTOVER.fullmatch(part) for part in Path(name).parts))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize()
