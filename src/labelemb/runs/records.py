"""Reading and writing the JSON and YAML files of a run folder; what is read fits the schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from labelemb.documents import parse_json, parse_yaml, read_bounded
from labelemb.files import write_text
from labelemb.runs.schema import check_schema

EXPECTED = "a file of a run folder"


def read_json(path: Path, schema: Any) -> Any:
    """Read a JSON file. Raises DataError when it is missing, damaged or does not fit the schema."""
    return check_schema(path, schema, parse_json(read_bounded(path, EXPECTED), str(path), EXPECTED))


def read_yaml(path: Path, schema: Any) -> Any:
    """Read a YAML file. Raises DataError when it is missing, damaged or does not fit the schema."""
    return check_schema(path, schema, parse_yaml(read_bounded(path, EXPECTED), str(path), EXPECTED))


def write_json(path: Path, content: Mapping[str, Any], indent: int | None = None) -> None:
    """Replace a JSON file."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a YAML file; keys keep their order."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))
