"""A trained run put to use: what is on these images, and how often is it wrong on those. V labels."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from labelemb.errors import DataError, check_at_least_one
from labelemb.files import write_text
from labelemb.metrics.calibration import RowScores, fit_temperature
from labelemb.metrics.classification import error_percent
from labelemb.runs import RunFolder
from labelemb.tasks.vision.datasets import DataOptions, load
from labelemb.tasks.vision.datasets.custom import SPLITS, image_files, read_folders
from labelemb.tasks.vision.datasets.decode import read_image
from labelemb.tasks.vision.images import ImageData, Images, Normalise
from labelemb.tasks.vision.models import build_model
from labelemb.training.checkpoint import load_checkpoint

Checkpoint = Literal["last", "best"]
BATCH = 500


@dataclass(frozen=True)
class Preprocessing:
    """What a trained model must know about its images: data.json of the run folder."""

    label_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, data: ImageData) -> "Preprocessing":
        """Take them from the data that it is trained on."""
        return cls(data.label_names, data.image_shape, data.mean, data.std)

    def write(self, file: Path) -> None:
        """Write them, whole or not at all."""
        write_text(file, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, file: Path) -> "Preprocessing":
        """Read what ``write`` wrote. Raises DataError."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            channels, height, width = map(int, content["image_shape"])
            mean, std = (tuple(map(float, content[name])) for name in ("mean", "std"))
            return cls(tuple(map(str, content["label_names"])), (channels, height, width), mean, std)
        except FileNotFoundError as error:
            hint = "Runs of this version leave it with their first epoch"
            raise DataError(
                str(file), "what a trained image model knows about its data", "no such file", hint
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(str(file), "what a trained image model knows about its data", error) from error


@dataclass(frozen=True)
class Evaluation:
    """How often a model is wrong on labelled images.

    images            how many
    error             percent; error_top5: percent whose label is not among the five most probable
    nll               mean of -log p[label], in nats
    ece               expected calibration error, in percent
    temperature       what the logits were divided by: it changes nll and ece alone
    errors_by_label   label -> percent, of the labels that are there
    """

    images: int
    error: float
    error_top5: float
    nll: float
    ece: float
    temperature: float
    errors_by_label: dict[str, float]


class TrainedModel:
    """The model of a run folder, ready to look at images.

    checkpoint  "last": after the last epoch, the one that is reported; "best": the best on the validation images
    device      as torch names it

    Raises DataError for a folder that is no run with a checkpoint. Nothing in the folder is executed.
    """

    def __init__(self, run: RunFolder, checkpoint: Checkpoint = "last", device: str = "cpu") -> None:
        self.run, self.config = run, run.config()
        self.facts = Preprocessing.read(run.data_file)
        file = run.best_checkpoint if checkpoint == "best" else run.last_checkpoint
        if not file.is_file():
            hint = "Nothing was held out to choose by" if checkpoint == "best" else ""
            raise DataError(str(file), "a checkpoint", "no such file", hint)
        self.device = torch.device(device)
        channels_last = bool(self.config.get("channels_last"))
        num_labels = len(self.facts.label_names)
        model = build_model(self.config["model"], self.facts.image_shape, num_labels, self.config.get("width"))
        try:
            model.load_state_dict(load_checkpoint(file)["model"])
        except (KeyError, RuntimeError) as error:
            raise DataError(
                str(file), f"the weights of a {self.config['model']}", " ".join(str(error).split())
            ) from error
        if channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model.to(self.device).eval()
        self._normalise = Normalise(self.facts.mean, self.facts.std, self.device, channels_last)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) uint8 -> (N, V) float32, in the precision that it was trained in."""
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.get("precision", "fp32"))
        parts = []
        for part in torch.split(pixels, BATCH):
            with torch.autocast(self.device.type, dtype=kind or torch.bfloat16, enabled=kind is not None):
                parts.append(self.model.head(self.model(self._normalise(part.to(self.device)))).float().cpu())  # type: ignore[operator]
        return torch.cat(parts)

    def predict(self, files: Sequence[Path], top: int = 3) -> list[list[tuple[str, float]]]:
        """Return for each image the ``top`` most probable labels and their probabilities, the most probable first.

        The images are cut around the middle and resized like the training images. Raises DataError for what is none,
        ConfigError for top < 1.
        """
        check_at_least_one("top", top)
        channels, height, width = self.facts.image_shape
        pixels = np.stack([read_image(file, channels, (height, width)) for file in files])
        values, labels = self.logits(torch.from_numpy(pixels)).softmax(1).topk(min(top, len(self.facts.label_names)))
        names = self.facts.label_names
        rows = zip(labels.tolist(), values.tolist(), strict=True)
        return [[(names[n], p) for n, p in zip(numbers, probabilities, strict=True)] for numbers, probabilities in rows]

    def temperature(self, folder: Path | None = None) -> float:
        """Return the temperature that makes the model's probabilities fit its run's validation images best.

        folder  where the files of a named data set are

        Raises DataError for a run that held no images out.
        """
        valid = self._data(str(self.config.get("dataset")), folder).valid
        if valid is None:
            expected = "a run with validation images, to fit a temperature on"
            raise DataError(str(self.run.path), expected, "none held out", "Train with --validate true")
        return fit_temperature(self.logits(valid.pixels), valid.labels)

    def evaluate(self, images: Images, temperature: float = 1.0) -> Evaluation:
        """Count what is wrong on images of the right shape whose labels are numbered like the model's."""
        logits, labels = self.logits(images.pixels) / temperature, images.labels
        wrong = logits.argmax(1) != labels
        names, count = self.facts.label_names, len(labels)
        five = logits.topk(min(5, len(names))).indices
        by_label = {
            name: 100 * float(wrong[labels == number].double().mean())
            for number, name in enumerate(names)
            if (labels == number).any()
        }
        scores = RowScores.of(logits, labels).figures()
        return Evaluation(
            images=count,
            error=error_percent((~wrong).sum(), count),
            error_top5=error_percent((five == labels[:, None]).any(1).sum(), count),
            nll=scores["nll"],
            ece=scores["ece"],
            temperature=temperature,
            errors_by_label=by_label,
        )

    def test_images(self, dataset: str | None = None, folder: Path | None = None) -> Images:
        """Return labelled images to evaluate on, their labels numbered like the model's; names are matched.

        dataset  a name as in ``datasets.load``: its test images. None: the run's own
        folder   where the files of a named data set are. For a run on own images: an image folder to look at instead;
                 of it test/ counts where there is one, else everything

        Raises DataError for labels that the model does not have, and images that it cannot take.
        """
        own = str(self.config.get("dataset"))
        if dataset is None and folder is not None and own.startswith(("imagefolder:", "hub:")):
            dataset = f"imagefolder:{folder}"
        name = dataset or own
        channels, height, width = self.facts.image_shape
        if name != own and name.startswith("imagefolder:"):
            path = Path(name.removeprefix("imagefolder:")).expanduser()
            part = next((path / below for below in SPLITS["test"] if (path / below).is_dir()), path)
            names = self.facts.label_names
            return read_folders({"test": part}, names, (height, width), part.name, channels).splits["test"]
        return self._matched(self._data(name, folder), name)

    def _data(self, name: str, folder: Path | None) -> ImageData:
        """Read a data set, split as it was for training if it is the run's own."""
        own = name == self.config.get("dataset")
        size = self.config.get("image_size") if own else self.facts.image_shape[1] if name.startswith("hub:") else None
        validate = self.config.get("validate") if own else None
        return load(name, folder, DataOptions(self.config.get("label_level", "fine"), size, validate))

    def _matched(self, data: ImageData, name: str) -> Images:
        known = {label: number for number, label in enumerate(self.facts.label_names)}
        if missing := [label for label in data.label_names if label not in known]:
            expected = f"labels of the model ({', '.join(known)})"
            raise DataError(name, expected, ", ".join(missing))
        if data.image_shape != self.facts.image_shape:
            raise DataError(name, f"images of shape {self.facts.image_shape}", data.image_shape)
        number_of = torch.tensor([known[label] for label in data.label_names])
        return replace(data.test, labels=number_of[data.test.labels])


def thumbnails_of(run: RunFolder, folder: Path | None = None) -> Tensor:
    """Return the first training image of each label of a run, (V, C, H, W) uint8; black where a label has none.

    Raises DataError as ``datasets.load`` does for the run's data set.
    """
    config, facts = run.config(), Preprocessing.read(run.data_file)
    options = DataOptions(**{name: config[name] for name in ("label_level", "image_size") if name in config})
    train = load(str(config.get("dataset")), folder, options).train
    shown = torch.zeros(len(facts.label_names), *facts.image_shape, dtype=torch.uint8)
    labels, first = np.unique(train.labels.numpy(), return_index=True)
    shown[torch.from_numpy(labels)] = train.pixels[torch.from_numpy(first)]
    return shown


def files_among(paths: Sequence[Path]) -> list[Path]:
    """Return the paths, folders replaced by the images in them. Raises DataError for one that is not there or empty."""
    found: list[Path] = []
    for path in paths:
        inside = image_files(path) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            raise DataError("images", "files, or folders with images in them", f"{path}, {_what(path)}")
        found += inside
    return found


def _what(path: Path) -> str:
    return "a folder without images" if path.is_dir() else "which is not there"
