"""What a trained image model must know about its input: data.json of the run folder."""

import json
from dataclasses import asdict, dataclass

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.tasks.classification.trained import read_data_file
from labelemb.tasks.vision.images import ImageData


@dataclass(frozen=True)
class Preprocessing:
    """Label names, image shape and normalisation of a trained image model.

    Args:
        label_names: The label names in order.
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
        what = "label names, image shape and normalisation of an image model"
        content = read_data_file(run, what)
        try:
            channels, height, width = map(int, content["image_shape"])
            mean, std = (tuple(map(float, content[name])) for name in ("mean", "std"))
            return cls(tuple(map(str, content["label_names"])), (channels, height, width), mean, std)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(str(run.data_file), what, error) from error
