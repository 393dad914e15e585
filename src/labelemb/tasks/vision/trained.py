"""A trained image model: predictions and evaluation. N images of C x H x W, V labels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelemb.errors import DataError, check_at_least_one
from labelemb.metrics.calibration import fit_temperature
from labelemb.runs import RunFolder
from labelemb.tasks.classification.evaluation import Evaluation, evaluate_logits, top_labels
from labelemb.tasks.classification.labels import match_labels
from labelemb.tasks.classification.pretrained import encoder_folder
from labelemb.tasks.classification.trained import Checkpoint, TrainedClassifier
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import DataOptions, load
from labelemb.tasks.vision.datasets.custom import SPLITS, image_files, read_folders
from labelemb.tasks.vision.datasets.decode import read_image
from labelemb.tasks.vision.images import ImageData, Images, Normalize, chunks
from labelemb.tasks.vision.lazy import LazyPixels
from labelemb.tasks.vision.models import build_model
from labelemb.tasks.vision.preprocessing import Preprocessing
from labelemb.training.model_size import check_model_size

BATCH_SIZE = 500


class TrainedModel(TrainedClassifier):
    """The image model of a run folder, in evaluation mode. Nothing in the folder is executed.

    Args:
        run: A run folder.
        checkpoint: ``last`` (the one that is reported) or ``best`` on the validation images.
        device: Torch device.

    Raises:
        DataError: If the folder is not an image run with such a checkpoint.
    """

    def __init__(self, run: RunFolder, checkpoint: Checkpoint = "last", device: str = "cpu") -> None:
        config = VisionConfig.read(run, required=("dataset", "model"))
        self.preprocessing = facts = Preprocessing.read(run)
        saved = str(encoder_folder(run))
        make = partial(build_model, config.model, facts.image_shape, len(facts.label_names), config.width, saved)
        check_model_size(f"{run.config_file}, width", make)
        model = make()
        super().__init__(run, facts.label_names, model, checkpoint, device)
        channels_last = config.in_channels_last
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._normalize = Normalize(facts.mean, facts.std, self.device, channels_last)

    @torch.no_grad()
    def logits(self, pixels: Tensor | LazyPixels) -> Tensor:
        """Return float32 logits ``(N, V)`` for uint8 pixels ``(N, C, H, W)``, in the precision of the training."""
        parts = []
        for part in chunks(pixels, BATCH_SIZE):
            with self.autocast():
                parts.append(self.model.head(self.model(self._normalize(part.to(self.device)))).float().cpu())  # type: ignore[operator]
        return torch.cat(parts)

    def predict(self, files: Sequence[Path], top: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each image the ``top`` most probable labels with their probabilities, most probable first.

        A fitted temperature of the run is used. Images are center-cropped and resized like the training images.

        Raises:
            DataError: If a file is not an image.
            ConfigError: If ``top`` is less than 1.
        """
        check_at_least_one("top", top)
        channels, height, width = self.preprocessing.image_shape
        pixels = np.stack([read_image(file, channels, (height, width)) for file in files])
        return top_labels(self.logits(torch.from_numpy(pixels)) / self.temperature, self.label_names, top)

    def fit_temperature(self, folder: Path | None = None) -> float:
        """Fit a temperature to the validation images of the run.

        Args:
            folder: Folder with the files of a named data set.

        Raises:
            DataError: If the run held out no images.
        """
        valid = self._data(str(self.config.get("dataset")), folder).valid
        if valid is None:
            expected = "a run with validation images, to fit a temperature on"
            raise DataError(str(self.run.path), expected, "none held out", "Train with --validate true")
        return fit_temperature(self.logits(valid.pixels), valid.labels)

    def evaluate(self, images: Images, temperature: float = 1.0) -> Evaluation:
        """Evaluate on images of the model's shape whose labels are numbered like the model's."""
        return evaluate_logits(self.logits(images.pixels), images.labels, self.label_names, temperature)

    def test_images(self, dataset: str | None = None, folder: Path | None = None) -> Images:
        """Return labeled images to evaluate on, with labels matched to the model's by name.

        Args:
            dataset: Data set as in ``datasets.load``, whose test images are returned; None: the run's own.
            folder: Folder with the files of a named data set. For a run on own images: an image folder to evaluate
                on instead, of which test/ is used if there is one, otherwise everything.

        Raises:
            DataError: If the model lacks a label, or the images have another shape.
        """
        own = str(self.config.get("dataset"))
        if dataset is None and folder is not None and own.startswith(("imagefolder:", "hub:")):
            dataset = f"imagefolder:{folder}"
        name = dataset or own
        channels, height, width = self.preprocessing.image_shape
        if name != own and name.startswith("imagefolder:"):
            path = Path(name.removeprefix("imagefolder:")).expanduser()
            part = next((path / below for below in SPLITS["test"] if (path / below).is_dir()), path)
            return read_folders({"test": part}, self.label_names, (height, width), part.name, channels).splits["test"]
        return self._matched(self._data(name, folder), name)

    def _data(self, name: str, folder: Path | None) -> ImageData:
        """Read a data set; the run's own is split as it was for training."""
        own = name == self.config.get("dataset")
        side = self.preprocessing.image_shape[1]
        size = self.config.get("image_size") if own else side if name.startswith("hub:") else None
        validate = self.config.get("validate") if own else None
        skip = bool(self.config.get("skip_damaged", False))
        return load(name, folder, DataOptions(self.config.get("label_level", "fine"), size, validate, None, skip))

    def _matched(self, data: ImageData, name: str) -> Images:
        index = match_labels(data.label_names, self.label_names, name)
        if data.image_shape != self.preprocessing.image_shape:
            raise DataError(name, f"images of shape {self.preprocessing.image_shape}", data.image_shape)
        return replace(data.test, labels=index[data.test.labels])


def thumbnails_of(run: RunFolder, folder: Path | None = None) -> Tensor:
    """Return the first training image of each label of a run, ``(V, C, H, W)`` uint8; black if a label has none.

    Raises:
        DataError: As ``datasets.load`` does for the run's data set.
    """
    config, facts = VisionConfig.read(run, required=("dataset",)), Preprocessing.read(run)
    train = load(config.dataset, folder, replace(config.data_options, validate=None, images_per_label=None)).train
    shown = torch.zeros(len(facts.label_names), *facts.image_shape, dtype=torch.uint8)
    labels, first = np.unique(train.labels.numpy(), return_index=True)
    shown[torch.from_numpy(labels)] = train.select(torch.from_numpy(first))
    return shown


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the paths with folders replaced by the images in them.

    Raises:
        DataError: If a path does not exist or a folder holds no images.
    """
    found: list[Path] = []
    for path in paths:
        inside = image_files(path) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            what = "a folder without images" if path.is_dir() else "no such file or folder"
            raise DataError("images", "files, or folders with images in them", f"{path}: {what}")
        found += inside
    return found
