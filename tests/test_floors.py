"""Imports go downward only: the plan in CONTRIBUTING.md, kept true."""

import ast
from pathlib import Path

import labelemb

PACKAGE = Path(labelemb.__file__).parent
ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "downloads": {"errors", "files"},
    "losses": {"errors", "files"},
    "metrics": {"errors"},
    "runs": {"errors", "files"},
    "signature": {""},  # the package itself, for its version
    "training": {"errors", "files", "losses", "metrics", "runs", "signature"},
    "report": {"errors", "files", "metrics", "runs", "losses.embedding"},
    "vision": {"downloads", "errors", "files", "losses", "metrics", "runs", "training"},
    "seq2seq": {"downloads", "errors", "files", "losses", "metrics", "runs", "training"},
    "presets": {"errors"},
    "cli": {"", "errors", "files", "losses", "metrics", "presets", "report", "runs", "seq2seq", "training", "vision"},
    "__main__": {"cli"},
    "": {"losses"},
}


def imports_of(file: Path) -> set[str]:
    """Names below labelemb that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "labelemb" else [f"labelemb.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        assert not isinstance(node, ast.ImportFrom) or node.level == 0, f"{file}: relative import"
        found |= {name.removeprefix("labelemb").removeprefix(".") for name in names if name.split(".")[0] == "labelemb"}
    return found


def room_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def test_imports_go_down_only() -> None:
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        room = room_of(file)
        allowed = ALLOWED[room]
        for name in imports_of(file):
            inside = name == room or name.startswith(f"{room}.") if room else False
            if not inside and not any(name == a or (a and name.startswith(f"{a}.")) for a in allowed):
                wrong.append(f"{file.relative_to(PACKAGE)} imports labelemb.{name}")
    assert not wrong, "\n".join(wrong)
