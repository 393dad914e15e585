"""The vision recipe: from a config to a finished run folder."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from labelemb.errors import Choices, ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.implementations import Implementation
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.modes import KEYS, MODES, MethodChoices, Mode, Surroundings, build_loss
from labelemb.losses.objective import Cap, Mix, Objective, Reduction
from labelemb.losses.terms import TERMS
from labelemb.metrics.classification import error_percent, mean_entropy, own_mass
from labelemb.runs import RunFolder, embedding_file
from labelemb.training.device import Precision, best_precision, check_tracker, make_accelerator
from labelemb.training.loop import FitSettings, train_run
from labelemb.training.optim import OptimizerName, OptimizerSettings, Schedule
from labelemb.training.seeding import drawing_from, generator, stream_seed
from labelemb.training.task import Share
from labelemb.vision import datasets
from labelemb.vision.augment import Augment, CropFlip
from labelemb.vision.datasets import DataOptions
from labelemb.vision.datasets.batches import Level
from labelemb.vision.images import ImageBatch, ImageData, Images, Normalise
from labelemb.vision.models import MODELS, build_model, initialise
from labelemb.vision.trained import InputFacts

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class VisionConfig:
    """Every choice of a vision run; the presets are values of it.

    dataset         digits, mnist, cifar10 or cifar100; imagefolder:PATH or hub:ID for images of one's own
    label_level     labels of cifar100: fine or coarse
    image_size      side of the square that own images are cut and resized to; null: 32
    validate        true: hold a fixed tenth of the training images out to choose by; false: none; null: as published,
                    and true for own images
    images_per_label  most training images of each label; null: all
    augment         crop-flip: pad 4, random crop, random mirror image, for training images; none
    model           mlp, cnn, resnet8 or resnet18
    width           size of the model's layers; null: as published
    mode            baseline: one-hot cross entropy; emb: label embedding; reuse: a learned one, frozen, as teacher;
                    smoothing: label smoothing; matched: smoothing with the own mass of a label embedding, label by
                    label; shuffled: the rows of one, all but the own mass permuted; ols: online label smoothing
    embedding       modes reuse, matched, shuffled: file of the label embedding, or the run that learned it; labels are
                    matched by name. Without it matched and shuffled learn one while they train
    smoothing       mode smoothing: mass that is spread over all labels
    ols_weight      mode ols: weight of the hard term
    seed            drives model and loss initialisation, data order and dropout by streams of their own
    epochs          passes over the training images
    batch_size      images per optimiser step, over all processes
    micro_batches   pieces a batch is cut into, to save memory
    optimizer       adam or sgd
    learning_rate   its peak
    momentum        of sgd
    weight_decay    of the model's parameters; the label embedding never gets any
    clip            largest gradient norm; 0: no clipping
    schedule        constant, step, cosine or one-cycle
    decay_factor    of the step schedule
    decay_every     epochs between two steps of the step schedule
    tau             temperature of the auxiliary head as the embedding's teacher
    alpha           confidence cap of the auxiliary head
    beta            weight of the hard term in a convex mix
    mix             convex or sum
    cap             hinge or absolute
    reduction       mean or token
    soft_start      optimiser steps before the soft term is on
    terms           terms in use, commas between: hard,soft,aux,embedding,cap
    impl            implementation of the loss
    precision       fp32, bf16 or fp16 (autocast); auto: bf16 where the hardware has it
    channels_last   memory layout of images and convolutions
    compile         let torch.compile make the model faster: costs a minute at the start, needs a C++ compiler
    device          auto or cpu
    tracker         none, or what Accelerate knows: tensorboard, wandb, ...
    """

    dataset: str = "digits"
    label_level: Level = "fine"
    image_size: int | None = None
    validate: bool | None = None
    images_per_label: int | None = None
    augment: Augment = "none"
    model: str = "mlp"
    width: int | None = None
    mode: Mode = "emb"
    embedding: str | None = None
    smoothing: float = 0.1
    ols_weight: float = 0.5
    seed: int = 0
    epochs: int = 15
    batch_size: int = 100
    micro_batches: int = 1
    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float = 0.0
    schedule: Schedule = "constant"
    decay_factor: float = 0.2
    decay_every: int = 40
    tau: float = 2.0
    alpha: float = 0.9
    beta: float = 0.5
    mix: Mix = "convex"
    cap: Cap = "hinge"
    reduction: Reduction = "mean"
    soft_start: int = 0
    terms: str = ",".join(TERMS)
    impl: Implementation = "eager"
    precision: Precision = "fp32"
    channels_last: bool = True
    compile: bool = False
    device: Literal["auto", "cpu"] = "auto"
    tracker: str = "none"

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect(datasets.is_known(self.dataset), "dataset", datasets.NAMES, repr(self.dataset))
            choices.expect_one_of("label_level", self.label_level, get_args(Level))
            choices.expect_one_of("augment", self.augment, get_args(Augment))
            choices.expect_one_of("model", self.model, list(MODELS))
            for name in ("epochs", "batch_size", "micro_batches"):
                choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
            for name in ("width", "image_size", "images_per_label"):
                value = getattr(self, name)
                choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
            choices.expect(self.seed >= 0, "seed", "a whole number >= 0", self.seed)
            choices.expect_one_of("mode", self.mode, MODES)
            for name in ("smoothing", "ols_weight"):
                value = getattr(self, name)
                choices.expect(0 <= value <= 1, name, "a number from 0 to 1", value)
            fine = self.mode != "reuse" or bool(self.embedding)
            choices.expect(fine, "embedding", "a file or a run with a label embedding, for mode reuse", self.embedding)
            choices.include(lambda: self.objective)
            choices.include(lambda: self.optimizer_settings)

    @property
    def objective(self) -> Objective:
        """Return the choices that are the loss's."""
        terms = frozenset(term.strip() for term in self.terms.split(","))
        return Objective(**_share(self, Objective) | {"terms": terms})

    @property
    def method(self) -> MethodChoices:
        """Return the choices that are the method's."""
        embedding = embedding_file(Path(self.embedding).expanduser()) if self.embedding else None
        return MethodChoices(**_share(self, MethodChoices) | {"embedding": embedding})

    @property
    def data_options(self) -> DataOptions:
        """Return the choices that are the data set's."""
        return DataOptions(**_share(self, DataOptions))

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the choices that are the optimiser's."""
        return OptimizerSettings(**_share(self, OptimizerSettings))

    def resolved(self) -> "VisionConfig":
        """Return the config with "auto" replaced by what this machine has, and without what its mode has no use for."""
        precision = best_precision(self.device) if self.precision == "auto" else self.precision
        defaults = {field.name: field.default for field in fields(self)}
        strange = {key: defaults[key] for key, modes in KEYS.items() if self.mode not in modes}
        return replace(self, **{"precision": precision} | strange)  # type: ignore[arg-type]


class VisionTask:
    """A net, a loss and images, as the training loop wants them."""

    unit = "images"

    def __init__(self, config: VisionConfig, data: ImageData) -> None:
        self.config, self.data = config, data
        num_labels = len(data.label_names)
        with drawing_from(config.seed, "model"):
            self.model = build_model(config.model, data.image_shape, num_labels, config.width)
        with drawing_from(config.seed, "loss"):
            self.loss: nn.Module = make_loss(config, self.model, data.label_names)
        if config.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            self.model.compile()  # in place: the names of its parameters stay what they are
        self.steps_per_epoch = -(-len(data.train) // config.batch_size)
        self.ignore_index = -100

    def place(self, device: torch.device) -> None:
        """Move the images to the device, uint8 as they are."""
        data = self.data
        self._normalise = Normalise(data.mean, data.std, device, self.config.channels_last)
        self._train = data.train.to(device)
        named = {"valid": data.valid, "test": data.test}
        self._held_out = {name: split.to(device) for name, split in named.items() if split is not None}

    def batches(self, epoch: int, start: int, share: Share) -> Iterator[list[ImageBatch]]:
        """Yield the batches of an epoch; its order and crops depend on the seed and the epoch alone."""
        seed, device = self.config.seed, self._train.labels.device
        order = torch.randperm(len(self._train), generator=generator(seed, "order", epoch)).to(device)
        crops = CropFlip.draw(len(order), seed, epoch).to(device) if self.config.augment == "crop-flip" else None
        for rows in torch.split(order, self.config.batch_size)[start:]:
            yield [self._batch(self._train, piece, crops) for piece in share.pieces(rows)]

    def evaluate(self, model: nn.Module, share: Share, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Return valid_error and test_error in percent, and what the label embedding looks like."""
        figures = {f"{name}_error": self._error(model, images, share, total) for name, images in self._held_out.items()}
        if isinstance(self.loss, LabelEmbeddingLoss):
            soft_labels = self.loss.embedding.soft_labels()
            figures |= {"own_mass": own_mass(soft_labels), "label_entropy": mean_entropy(soft_labels)}
        return figures

    def leave(self, run: RunFolder) -> None:
        """Write what the model must know about images, and the label embedding with the names of its labels."""
        InputFacts.of(self.data).write(run.data_file)
        if isinstance(self.loss, LabelEmbeddingLoss):
            self.loss.embedding.save(run.labels_file, self.data.label_names)

    def _batch(self, images: Images, rows: Tensor, crops: CropFlip | None = None) -> ImageBatch:
        pixels = images.pixels.index_select(0, rows)  # twenty times as fast as [rows] on a CPU
        if crops is not None:
            pixels = crops[rows](pixels, self.config.channels_last)
        return ImageBatch(self._normalise(pixels), images.labels[rows], rows)

    def _error(self, model: nn.Module, images: Images, share: Share, total: Callable[[Tensor], Tensor]) -> float:
        mine = torch.arange(len(images), device=images.labels.device)[share.index :: share.count]
        correct = torch.zeros((), dtype=torch.int64, device=mine.device)
        for rows in torch.split(mine, EVALUATION_BATCH):
            batch = self._batch(images, rows)
            logits = model.head(model(*batch.inputs))  # type: ignore[operator]
            correct += (logits.argmax(1) == batch.targets).sum()
        return error_percent(total(correct), len(images))


def make_loss(config: VisionConfig, model: nn.Module, label_names: Sequence[str]) -> Loss:
    """Return the loss of the config's mode for a model with a ``head``. Raises as ``build_loss`` does."""
    assert isinstance(model.head, nn.Linear)
    around = Surroundings(model.head.in_features, label_names, seed=stream_seed(config.seed, "method"))
    loss = build_loss(config.mode, config.method, around)
    if isinstance(loss, LabelEmbeddingLoss) and hasattr(model, "head_std"):  # both heads start alike, as published
        initialise(loss.auxiliary, model.head_std)  # type: ignore[arg-type]
    return loss


@lru_cache(maxsize=1)
def load_data(name: str, folder: Path | None, options: DataOptions | None = None) -> ImageData:
    """Read a data set once per process: the seeds of a matrix share it."""
    return datasets.load(name, folder, options)


def check(config: VisionConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Make sure that a run can start; nothing is written.

    Raises ConfigError (also when the folder holds another run), DataError.
    """
    _checked_data(config, run, data_folder)
    _try_to_build(replace(config, seed=0), data_folder)


def train(config: VisionConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train one run to its end, from wherever a killed process left it; nothing happens when it is finished.

    Raises as ``check`` does.
    """
    task = _build(config, _checked_data(config, run, data_folder))
    accelerator = make_accelerator(config.precision, config.device, config.tracker, run.path)
    settings = FitSettings(
        epochs=config.epochs,
        seed=config.seed,
        optimizer=config.optimizer_settings,
        micro_batches=config.micro_batches,
    )
    facts = {"note": task.data.note} if task.data.note else {}
    file = config.method.embedding
    if file is not None and config.mode in KEYS["embedding"]:
        facts["embedding_digest"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    train_run(task, settings, run, accelerator, asdict(config), task.data.digest, facts)


def _checked_data(config: VisionConfig, run: RunFolder, folder: Path | None) -> ImageData:
    check_tracker(config.tracker)
    data = load_data(config.dataset, folder, config.data_options)
    run.check(asdict(config), data.digest)
    return data


@lru_cache(maxsize=8)
def _try_to_build(config: VisionConfig, folder: Path | None) -> None:
    """Build net and loss once for all seeds of a matrix, to see whether it can be done."""
    _build(config, load_data(config.dataset, folder, config.data_options))


def _build(config: VisionConfig, data: ImageData) -> VisionTask:
    task = VisionTask(config, data)
    total_steps = config.epochs * task.steps_per_epoch
    if isinstance(task.loss, LabelEmbeddingLoss) and config.soft_start >= total_steps:
        raise ConfigError(
            "soft_start",
            f"fewer steps than the run has ({total_steps})",
            config.soft_start,
            f"About 0.4 of all steps is usual: {int(0.4 * total_steps)}",
        )
    return task


def _share(config: VisionConfig, kind: type) -> dict[str, Any]:
    """Return the values of the fields that the config has in common with another dataclass."""
    return {field.name: getattr(config, field.name) for field in fields(kind)}
