"""What commands print: no control characters of labels, one line for errors, on any terminal."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from labelemb.cli import main
from labelemb.losses.soft_label_files import read_soft_labels
from labelemb.terms.embedding import DenseLabelEmbedding
from tests.processes import run_alone

HOSTILE = ["\x1b[2J\x1b[H", "a\rb", "\x07", "\x9b31m", "\u202etxt.exe", "é", "=1+1", "+a", "-b", "@c"]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    DenseLabelEmbedding(len(HOSTILE)).save(tmp_path / "labels.safetensors", HOSTILE)
    return tmp_path / "labels.safetensors"


def is_clean(text: str) -> bool:
    return not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c == "\u202e" for c in text)


@pytest.mark.parametrize("label", ["é", "unknown", "\x1b[31m"])
def test_control_characters_do_not_reach_the_terminal(
    label: str, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["similar", str(labels), label, "--top", "10"])
    said = capsys.readouterr()
    assert is_clean(said.out + said.err)
    assert (said.out + said.err).strip()


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE"])
@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "\x1b[2J"])
def test_variables_of_a_launcher(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["list"]) == 2
    said = capsys.readouterr()
    assert is_clean(said.err)
    assert name == "RANK" or f"{name}: expected a whole number" in said.err


def print_similar(labels: Path, said: Path, encoding: str) -> int:
    sys.argv = ["labelemb", "similar", str(labels), "@c", "--top", "10"]
    with said.open("w", encoding=encoding) as sys.stdout:
        return main()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode(encoding: str, labels: Path, tmp_path: Path) -> None:
    assert run_alone(print_similar, labels, tmp_path / "said", encoding) == 0
    assert b"u202e" in (tmp_path / "said").read_bytes()


def test_exported_cells_are_no_formulas_and_names_come_back(labels: Path, tmp_path: Path) -> None:
    assert main(["export", str(labels), "--to", "csv", "--out", str(tmp_path / "x.csv")]) == 0
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert not [cell for cell in [*header, *(row[0] for row in rows)] if cell.startswith(("=", "+", "-", "@"))]
    assert read_soft_labels(tmp_path / "x.csv", HOSTILE).shape == (len(HOSTILE), len(HOSTILE))


INTERRUPTED = """
import os, signal, sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                sum(range(1000))
            except BaseException:  # some packages ignore whatever an import of theirs raises
                pass

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where pytest runs in the background
sys.meta_path.insert(0, Interrupted())
from labelemb_command import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["torch", "labelemb.cli.parser"])
def test_ctrl_c_while_packages_are_imported(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, "list", module], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "stopped\n")


LATE = """
import os, signal, sys, labelemb_command

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "colorsys":
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))

signal.signal(signal.SIGINT, labelemb_command.interrupt)
try:
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(1000))
except KeyboardInterrupt:
    print("raised")
sys.stdout.flush()
sys.meta_path.insert(0, Interrupted())
import colorsys
"""


def test_ctrl_c_raises_but_in_an_import_of_a_command() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "raised\n", "stopped\n")


DONE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where pytest runs in the background
from labelemb_command import main
code = main()
os.kill(os.getpid(), signal.SIGINT)
sys.exit(code)
"""


def test_ctrl_c_after_the_end_does_not_change_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", DONE, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
