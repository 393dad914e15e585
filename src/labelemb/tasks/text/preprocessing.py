"""What a trained text model must know about its input: data.json and encoder/ of the run folder."""

import json
from dataclasses import asdict, dataclass

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.tasks.classification.trained import read_data_file


@dataclass(frozen=True)
class Preprocessing:
    """Label names and statistics of the data that a text model was trained on.

    Args:
        label_names: The label names in order.
        sizes: Number of texts of each split.
        duplicates: Number of texts of each held-out split that are also training texts.
        truncated: Number of texts of each split that were longer than ``max_length``.
    """

    label_names: tuple[str, ...]
    sizes: dict[str, int]
    duplicates: dict[str, int]
    truncated: dict[str, int]

    def write(self, run: RunFolder) -> None:
        """Write data.json atomically."""
        write_text(run.data_file, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, run: RunFolder) -> "Preprocessing":
        """Read data.json.

        Raises:
            DataError: If the file is missing or damaged.
        """
        what = "label names and split sizes of a text model"
        content = read_data_file(run, what)
        try:
            counts = (
                {name: int(count) for name, count in content[key].items()}
                for key in ("sizes", "duplicates", "truncated")
            )
            return cls(tuple(map(str, content["label_names"])), *counts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(str(run.data_file), what, error) from error
