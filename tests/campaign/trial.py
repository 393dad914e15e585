"""One command in a process of its own, and what counts as a good end."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 120  # a command that takes longer hangs


@dataclass
class Tally:
    """Tries and failures of each class."""

    tried: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def note(self, kind: str, what: str, problem: str) -> None:
        """Count a try; ``problem`` is "" when it ended well."""
        self.tried[kind] += 1
        if problem:
            self.failures.append(f"{kind}: {what}: {problem}")
            print(self.failures[-1], flush=True)

    def summary(self) -> str:
        """Return a line per class."""
        failed = Counter(failure.partition(":")[0] for failure in self.failures)
        rows = [
            f"{kind:12} {n:5} tried {n - failed[kind]:5} passed {failed[kind]:4} failed"
            for kind, n in self.tried.items()
        ]
        return "\n".join(rows)


def command(arguments: Sequence[str], folder: Path) -> tuple[int | None, str]:
    """Run ``labelemb ARGUMENTS``; return exit code, None for a command that hangs, and what it wrote on stderr."""
    full = [sys.executable, "-m", "labelemb", *arguments]
    try:
        done = subprocess.run(full, cwd=folder, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stderr.decode("utf-8", "replace")


def problem_of(code: int | None, said: str) -> str:
    """Return what is wrong with the end of a command: "" for success, and for exit code 2 with one line."""
    if code is None:
        return f"no end after {SECONDS} s"
    if "Traceback" in said:
        return f"a traceback: {said.strip().splitlines()[-1]}"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code == 2 and said.count("\n") != 1:
        return f"{said.count(chr(10))} lines: {said[:200]!r}"
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in said):
        return f"control characters: {said[:200]!r}"
    return ""
