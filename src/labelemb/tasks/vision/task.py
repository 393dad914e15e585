"""Image classification as a training task."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.methods import METHODS
from labelemb.runs import RunFolder
from labelemb.tasks.classification.imbalance import balanced_rows
from labelemb.tasks.classification.pretrained import encoder_folder
from labelemb.tasks.classification.summary import summary_lines
from labelemb.tasks.classification.task import ClassificationTask, build_classification_loss
from labelemb.tasks.vision.augmentation import Augmentation
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageBatch, ImageData, Images, Normalize
from labelemb.tasks.vision.lazy import LazyPixels
from labelemb.tasks.vision.mixing import Mixing
from labelemb.tasks.vision.models import build_model, initialize
from labelemb.tasks.vision.preprocessing import Preprocessing
from labelemb.tasks.vision.pretrained import PretrainedImageModel
from labelemb.terms.output import MixedTargets
from labelemb.training.seeding import drawing_from, generator
from labelemb.training.task import Shard

EVAL_BATCH_SIZE = 500


class VisionTask(ClassificationTask):
    """A model, a loss and images in memory.

    Args:
        config: Configuration of the run.
        data: The data set.

    Raises:
        ConfigError: If the options do not fit each other or the data.
        DataError: If a file that the method reads is damaged or lacks a label.
    """

    unit = "images"

    def __init__(self, config: VisionConfig, data: ImageData) -> None:
        super().__init__(data.label_names, config.groups_of(data.label_names))
        self.config, self.data = config, data
        with drawing_from(config.seed, "model"):
            self.model = build_model(config.model, data.image_shape, len(data.label_names), config.width)
        self.steps_per_epoch = -(-len(data.train) // config.batch_size)
        with drawing_from(config.seed, "loss"):
            self.loss = make_loss(config, self.model, data.label_names, data.train.labels, self.steps_per_epoch)
        self._check_mixing()
        if config.in_channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            self.model.compile()  # in place: parameter names do not change

    def _check_mixing(self) -> None:
        """Raise ConfigError if mixup or CutMix is on and the loss does not support mixed targets."""
        if self.config.mixes and not self.loss.supports_mixed_targets:
            key = "mixup" if self.config.mixup else "cutmix"
            always = ", ".join(name for name, method in METHODS.items() if method.mixed_targets == "always")
            from_file = ", ".join(name for name, method in METHODS.items() if method.mixed_targets == "from file")
            methods = f"{always}; {from_file} with --embedding"
            got = f"{getattr(self.config, key)} for method {self.config.method}, impl {self.config.impl}"
            raise ConfigError(key, f"0, or a method that takes mixed targets, with impl eager or auto ({methods})", got)

    def summary(self) -> tuple[str, ...]:
        """Describe data, model and device."""
        data = self.data
        splits = {"train": data.train.labels} | ({"valid": data.valid.labels} if data.valid is not None else {})
        channels, height, width = data.image_shape
        resized = " after cropping and resizing (--image_size)" if ":" in self.config.dataset else ""
        notes = (
            f"images of {height}x{width} pixels, {channels} channel{'s' * (channels > 1)}{resized}",
            *filter(None, [data.note]),
        )
        splits |= {"test": data.test.labels}
        return summary_lines(self.config, self.unit, splits, self.model, self.steps_per_epoch, notes)

    def setup(self, device: torch.device) -> None:
        """Move the images to the device, as uint8 in the memory format of the model."""
        data = self.data
        layout = torch.channels_last if self.config.in_channels_last else torch.contiguous_format
        self._normalize = Normalize(data.mean, data.std, device, self.config.in_channels_last)
        self._train = data.train.to(device, layout)
        splits = {"valid": data.valid, "test": data.test}
        self._held_out = {name: split.to(device, layout) for name, split in splits.items() if split is not None}

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[list[ImageBatch]]:
        """Yield the training batches of an epoch; order and augmentation depend on the seed and the epoch only."""
        seed, device = self.config.seed, self._train.labels.device
        if self.config.sampling == "balanced":
            order = balanced_rows(self._train.labels, seed, epoch).to(device)
            places = torch.arange(len(order), device=device)  # each time that an image occurs it is augmented anew
        else:
            places = order = torch.randperm(len(self._train), generator=generator(seed, "order", epoch)).to(device)
        shape = self.data.image_shape[1:]
        augmentation = Augmentation.draw(self.config.augment_options, len(self._train), shape, seed, epoch).to(device)
        parts = torch.split(order, self.config.batch_size)
        batches = list(zip(parts, torch.split(places, self.config.batch_size), strict=True))
        strengths = (self.config.mixup, self.config.cutmix)
        for number, (rows, of_rows) in enumerate(batches[start:], start=start):
            self._prefetch([rows, *parts[number + 1 : number + 2]], shard)
            plain = [
                self._batch(self._train, piece, augmentation[where])
                for piece, where in zip(shard.pieces(rows), shard.pieces(of_rows), strict=True)
            ]
            if not self.config.mixes:
                yield plain
                continue
            mixing = Mixing.draw(len(rows), shape, strengths, seed, (epoch, number))
            partners = mixing.partners.to(device)
            pieces = zip(shard.pieces(rows[partners]), shard.pieces(of_rows[partners]), strict=True)
            others = [self._batch(self._train, piece, augmentation[where]) for piece, where in pieces]
            yield [mixed(mixing, *pair) for pair in zip(plain, others, strict=True)]

    def held_out_labels(self, last: bool) -> Mapping[str, Tensor]:
        """Return the labels of each held-out split; images are evaluated after every epoch."""
        return {name: images.labels for name, images in self._held_out.items()}

    def held_out_batches(self, split: str, shard: Shard) -> Iterator[tuple[Tensor, ImageBatch]]:
        """Yield this process's share of a held-out split."""
        images = self._held_out[split]
        shard_rows = torch.arange(len(images), device=images.labels.device)[shard.index :: shard.count]
        for rows in torch.split(shard_rows, EVAL_BATCH_SIZE):
            yield rows, self._batch(images, rows)

    def save_artifacts(self, run: RunFolder) -> None:
        """Write the preprocessing, the errors by label and the label embedding."""
        if isinstance(self.model, PretrainedImageModel) and not run.data_file.is_file():  # written last
            self.model.save_config(encoder_folder(run))
        Preprocessing.of(self.data).write(run)
        super().save_artifacts(run)

    def _prefetch(self, batches: Sequence[Tensor], shard: Shard) -> None:
        """Decode the images of the next batches in the background, where they are not in memory."""
        if isinstance(self._train.pixels, LazyPixels):
            own = slice(None) if self.config.mixes else slice(shard.index, None, shard.count)  # partners may be any
            self._train.pixels.prefetch(torch.cat([rows[own] for rows in batches]))

    def _batch(self, images: Images, rows: Tensor, augmentation: Augmentation | None = None) -> ImageBatch:
        pixels = images.select(rows)
        if augmentation is None:
            return ImageBatch(self._normalize(pixels), images.labels[rows], rows)
        normalized = self._normalize(augmentation.pixels(pixels, self.config.in_channels_last))
        return ImageBatch(augmentation.images(normalized), images.labels[rows], rows)


def mixed(mixing: Mixing, first: ImageBatch, second: ImageBatch) -> ImageBatch:
    """Return a batch mixed with the batch of its partners."""
    weight = torch.full((first.size,), mixing.weight, device=first.labels.device)
    return ImageBatch(
        mixing(first.images, second.images), MixedTargets(first.labels, second.labels, weight), first.index
    )


def make_loss(
    config: VisionConfig, model: nn.Module, label_names: Sequence[str], labels: Tensor, steps_per_epoch: int
) -> Loss:
    """Return the loss of the config's method for a model with a linear ``head``; raises as ``build_loss`` does."""
    assert isinstance(model.head, nn.Linear)
    loss = build_classification_loss(config, model.head.in_features, label_names, labels, steps_per_epoch)
    if isinstance(loss, LabelEmbeddingLoss) and hasattr(model, "head_std"):  # published: both heads start alike
        initialize(loss.auxiliary, model.head_std)  # type: ignore[arg-type]
    return loss
