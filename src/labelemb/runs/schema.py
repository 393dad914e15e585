"""The schema of the files of a run folder, checked whenever one is read."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from labelemb.errors import DataError

Finite = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Finite | str | None
Config = dict[str, Scalar | list[Scalar]]


@with_config(ConfigDict(extra="allow"))
class Signature(TypedDict):
    """What a run was made with; later versions may add entries."""

    labelemb: NotRequired[str]
    git_commit: NotRequired[str | None]
    torch: NotRequired[str]
    python: NotRequired[str]
    machine: NotRequired[str]
    device: NotRequired[str]
    threads: NotRequired[PositiveInt]
    seed: NotRequired[NonNegativeInt]
    data_digest: NotRequired[str]
    note: NotRequired[str]
    recorded: NotRequired[bool]
    resumed: NotRequired[list[dict[str, Scalar]]]


class Positions(TypedDict):
    """Where in its training a run was evaluated."""

    epoch: PositiveInt
    step: NotRequired[PositiveInt]


@with_config(ConfigDict(extra="allow"))
class DataFacts(TypedDict):
    """What data.json may hold for any task."""

    label_names: NotRequired[list[str]]


Numbers = dict[str, float]  # a diverged run has metrics that are not finite
ErrorsByLabel = dict[str, dict[str, Finite | None]]
Scores = dict[str, dict[str, dict[str, Any]]]


def check_schema(source: Path | str, schema: Any, content: object) -> Any:
    """Return ``content`` when it fits a type, as pydantic reads types; numbers and strings are not converted.

    Args:
        source: File that the content is from.
        schema: A type, such as ``dict[str, int]`` or a dataclass.
        content: Parsed content of the file.

    Raises:
        DataError: It does not fit; the message names the file and the key.
    """
    try:
        return _adapter(schema).validate_python(content, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first = max(errors, key=lambda found: len(_keys(found["loc"])))
        keys = _keys(first["loc"])
        same = [found["msg"] for found in errors if _keys(found["loc"]) == keys]  # one per member of a union
        expected = " or ".join(msg.removeprefix("Value error, ").removeprefix("Input should be ") for msg in same)
        where = f"{source}, {'.'.join(keys)}" if keys else str(source)
        raise DataError(where, expected, repr(first["input"])) from error
    except RecursionError as error:
        raise DataError(str(source), "content that is not nested so deeply", "more levels") from error


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the parts of pydantic's location that are keys; it also names the members of a union that were tried."""
    types = {"bool", "int", "float", "str", "none"}
    return [str(part) for part in location if part not in types and "[" not in str(part)]


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)
