"""The examples run on real data, and differ from their one-hot versions by at most five lines."""

import difflib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = {
    "plain_torch": "torch",
    "accelerate_loop": "accelerate",
    "hf_trainer": "transformers",
    "lightning_module": "lightning",
    "timm_task": "timm",
}


def changed_lines(name: str) -> list[str]:
    """Lines of the example that its one-hot version does not have."""
    before, after = (folder / f"{name}.py" for folder in (EXAMPLES / "one_hot", EXAMPLES))
    diff = difflib.ndiff(
        before.read_text(encoding="utf-8").splitlines(), after.read_text(encoding="utf-8").splitlines()
    )
    return [line for line in diff if line.startswith("+ ") and line[2:].strip()]


@pytest.mark.parametrize("name", NAMES)
def test_at_most_five_lines_differ_beside_the_imports(name: str) -> None:
    changed = [line for line in changed_lines(name) if not line.startswith("+ from labelemb")]
    assert 1 <= len(changed) <= 5, changed


@pytest.mark.parametrize("version", ["one_hot", "."])
@pytest.mark.parametrize("name", NAMES)
def test_it_trains(name: str, version: str, tmp_path: Path) -> None:
    if find_spec(NAMES[name]) is None:
        pytest.skip(f"{NAMES[name]} is not installed")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / version / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = re.search(r"test error ([\d.]+) %", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < 40  # guessing is wrong for 90 %
