"""The core needs torch, numpy, safetensors and filelock alone, on every system."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORT_NAMES = {"docstring-parser": "docstring_parser", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}


def package_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!; ]", requirement)[0] for requirement in requirements} - {"labelemb"}


def modules_of_extras() -> set[str]:
    names = package_names([requirement for requirements in EXTRAS.values() for requirement in requirements])
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def run_without(modules: set[str], code: str) -> None:
    """Run code in a process in which the modules cannot be imported."""
    # torch, safetensors and filelock choose by what there is; what is tested is what labelemb asks for.
    blocked = f"import sys, torch, safetensors.torch, filelock; sys.modules.update(dict.fromkeys({sorted(modules)!r}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", f"{blocked}\n{code}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_loss_step_needs_no_extra_and_no_fcntl() -> None:
    code = """
import labelemb
loss = labelemb.LabelEmbeddingLoss(4, 3)
loss(torch.randn(5, 4), torch.nn.Linear(4, 3), torch.tensor([0, 1, 2, 0, 1]))
"""
    run_without(modules_of_extras() | {"fcntl"}, code)


def test_a_head_is_calibrated_without_extras() -> None:
    code = """
import labelemb
logits = torch.tensor([[1.0, 0.0]] * 10)
labelemb.calibrate_head(torch.nn.Linear(2, 2), logits, torch.tensor([0] * 9 + [1]))
"""
    run_without(modules_of_extras(), code)


def test_the_trainer_needs_its_extra_alone() -> None:
    pytest.importorskip("transformers")
    code = "from labelemb.integrations.transformers import LabelEmbeddingTrainer, calibrate, record_run"
    installed = {IMPORT_NAMES.get(name, name) for name in package_names(EXTRAS["transformers"])}
    others = {*modules_of_extras(), "pydantic"} - installed - {"jinja2", "fsspec", "yaml", "rich"}  # of transformers
    run_without(others, code)


def test_locks_need_no_fcntl(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from labelemb.runs.lock import hold_lock
with hold_lock(Path({str(tmp_path / "lock")!r})): pass
"""
    run_without({"fcntl"}, code)


def test_the_entry_point_imports_without_extras() -> None:
    run_without(modules_of_extras(), "import labelemb.cli, labelemb.__main__")


def test_all_holds_every_extra_for_users_but_three() -> None:
    listed = {name for line in EXTRAS["all"] for name in re.findall(r"[\w-]+", line.split("[")[1])}
    assert listed == set(EXTRAS) - {"triton", "lightning", "cluster", "all", "docs", "dev"}


def test_core_dependencies() -> None:
    assert package_names(PROJECT["dependencies"]) == {"torch", "numpy", "safetensors", "filelock"}


def test_the_oldest_versions_are_those_that_the_package_allows() -> None:
    """What ``make test-lowest`` installs; packages that it does not install have tests of their own."""
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = {Requirement(line).name.lower(): Requirement(line) for line in lines if not line.startswith("#")}
    extras = ("data", "onnx", "report", "text", "train", "transformers")
    allowed = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    for requirement in map(Requirement, allowed):
        if requirement.name != "labelemb":
            (oldest,) = {spec.version for spec in requirement.specifier if spec.operator == ">="}
            assert tested[requirement.name.lower()].specifier.contains(oldest), f"{requirement} is not what is tested"
