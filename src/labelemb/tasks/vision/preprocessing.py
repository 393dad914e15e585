"""Input specification of a trained image model, stored as data.json in the run folder."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.runs.schema import Finite, check_schema
from labelemb.tasks.classification.trained import read_data_file
from labelemb.tasks.vision.images import ImageData

LARGEST_SIDE = 10_000  # pixels


class _Content(TypedDict):
    """The schema of data.json."""

    label_names: Annotated[list[str], Field(min_length=1)]
    image_shape: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_SIDE)]], Field(min_length=3, max_length=3)]
    mean: list[Finite]
    std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]


@dataclass(frozen=True)
class Preprocessing:
    """Label names, image shape and normalization of a trained image model.

    Args:
        label_names: Label names in index order.
        image_shape: ``(C, H, W)``.
        mean: Mean per channel, of pixels in [0, 1].
        std: Standard deviation per channel.
    """

    label_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, data: ImageData) -> "Preprocessing":
        """Return the preprocessing of a data set."""
        return cls(data.label_names, data.image_shape, data.mean, data.std)

    def write(self, run: RunFolder) -> None:
        """Write data.json atomically."""
        write_text(run.data_file, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, run: RunFolder) -> "Preprocessing":
        """Read data.json.

        Raises:
            DataError: If the file is missing or damaged.
        """
        what = "label names, image shape and normalization of an image model"
        content = check_schema(run.data_file, _Content, read_data_file(run, what))
        names, (channels, height, width) = tuple(content["label_names"]), content["image_shape"]
        if len(set(names)) != len(names):
            raise DataError(f"{run.data_file}, label_names", "distinct names", "a duplicate")
        for key in ("mean", "std"):
            if len(content[key]) != channels:
                raise DataError(f"{run.data_file}, {key}", f"{channels} values, one per channel", len(content[key]))
        return cls(names, (channels, height, width), tuple(content["mean"]), tuple(content["std"]))
