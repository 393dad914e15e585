"""Reading and writing the JSON and YAML files of a run folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from labelemb.errors import DataError
from labelemb.files import write_text


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises DataError for a missing or damaged file."""
    return _read(path, json.loads)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises DataError for a missing or damaged file."""
    return _read(path, yaml.safe_load)


def write_json(path: Path, content: Mapping[str, Any], indent: int | None = None) -> None:
    """Replace a JSON file."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a YAML file; keys keep their order."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(str(path), "a file of a run folder", "no such file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise DataError(str(path), "a readable file of a run folder", " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise DataError(str(path), "a mapping", type(content).__name__)
    return content
