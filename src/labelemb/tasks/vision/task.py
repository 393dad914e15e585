"""A net, a loss and images, as the training loop wants them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.methods import LossContext, build_loss
from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import error_percent, errors_by_label, mean_entropy, true_label_mass
from labelemb.runs import RunFolder
from labelemb.tasks.vision.augment import CropFlip
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageBatch, ImageData, Images, Normalise
from labelemb.tasks.vision.mixing import Mixing
from labelemb.tasks.vision.models import build_model, initialise
from labelemb.tasks.vision.trained import Preprocessing
from labelemb.terms.output import MixedTargets
from labelemb.training.seeding import drawing_from, generator, stream_seed
from labelemb.training.task import Shard

EVALUATION_BATCH = 500


class VisionTask:
    """A net, a loss and images, as the training loop wants them."""

    unit = "images"

    def __init__(self, config: VisionConfig, data: ImageData) -> None:
        self.config, self.data = config, data
        num_labels = len(data.label_names)
        with drawing_from(config.seed, "model"):
            self.model = build_model(config.model, data.image_shape, num_labels, config.width)
        self.steps_per_epoch = -(-len(data.train) // config.batch_size)
        with drawing_from(config.seed, "loss"):
            self.loss: Loss = make_loss(config, self.model, data.label_names, len(data.train), self.steps_per_epoch)
        if config.mixes and not self.loss.mixes:
            key = "mixup" if config.mixup else "cutmix"
            plain = "cross_entropy, label_smoothing, frozen_embedding, soft_label_matrix; matched_smoothing and shuffled_embedding with --embedding"
            got = f"{getattr(config, key)} for method {config.method}, impl {config.impl}"
            raise ConfigError(key, f"0, or an eager method with a plain target ({plain})", got)
        if config.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            self.model.compile()  # in place: the names of its parameters stay what they are
        self.ignore_index = -100

    def setup(self, device: torch.device) -> None:
        """Move the images to the device, as uint8 in the layout of the model."""
        data = self.data
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        self._normalise = Normalise(data.mean, data.std, device, self.config.channels_last)
        self._train = data.train.to(device, layout)
        named = {"valid": data.valid, "test": data.test}
        self._held_out = {name: split.to(device, layout) for name, split in named.items() if split is not None}
        self._errors_by_label: dict[str, list[float | None]] = {}

    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[list[ImageBatch]]:
        """Yield the batches of an epoch; its order and crops depend on the seed and the epoch alone."""
        seed, device = self.config.seed, self._train.labels.device
        order = torch.randperm(len(self._train), generator=generator(seed, "order", epoch)).to(device)
        crops = CropFlip.draw(len(order), seed, epoch).to(device) if self.config.augment == "crop-flip" else None
        for number, rows in enumerate(torch.split(order, self.config.batch_size)[start:], start=start):
            pieces = shard.pieces(rows)
            if not self.config.mixes:
                yield [self._batch(self._train, piece, crops) for piece in pieces]
                continue
            strengths, shape = (self.config.mixup, self.config.cutmix), self.data.image_shape[1:]
            mixing = Mixing.draw(len(rows), shape, strengths, seed, (epoch, number))
            others = shard.pieces(rows[mixing.partners.to(device)])
            yield [self._mixed(mixing, *pair, crops) for pair in zip(pieces, others, strict=True)]

    def evaluate(self, model: nn.Module, shard: Shard, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Return of valid and test the error and calibration errors in percent, nll and Brier score.

        And what the label embedding looks like, if one is learned.
        """
        figures: dict[str, float] = {}
        for name, images in self._held_out.items():
            scores = self._scores(model, images, shard, total)
            figures[f"{name}_error"] = error_percent(round(float(scores.correct.sum())), len(images))
            figures |= {f"{name}_{key}": value for key, value in scores.figures().items()}
            self._errors_by_label[name] = errors_by_label(scores.correct, images.labels, len(self.data.label_names))
        if isinstance(self.loss, LabelEmbeddingLoss):
            soft_labels = self.loss.embedding.soft_labels()
            figures |= {"true_label_mass": true_label_mass(soft_labels), "label_entropy": mean_entropy(soft_labels)}
        return figures

    def save_artifacts(self, run: RunFolder) -> None:
        """Write what the model must know about images, the label embedding with its labels' names, errors by label."""
        Preprocessing.of(self.data).write(run.data_file)
        run.write_errors_by_label(self.data.label_names, self._errors_by_label)
        if isinstance(self.loss, LabelEmbeddingLoss):
            self.loss.embedding.save(run.labels_file, self.data.label_names)

    def _batch(self, images: Images, rows: Tensor, crops: CropFlip | None = None) -> ImageBatch:
        pixels = images.select(rows)
        if crops is not None:
            pixels = crops[rows](pixels, self.config.channels_last)
        return ImageBatch(self._normalise(pixels), images.labels[rows], rows)

    def _mixed(self, mixing: Mixing, rows: Tensor, partners: Tensor, crops: CropFlip | None) -> ImageBatch:
        first, second = (self._batch(self._train, each, crops) for each in (rows, partners))
        weight = torch.full((len(rows),), mixing.weight, device=rows.device)
        targets = MixedTargets(first.labels, second.labels, weight)
        return ImageBatch(mixing(first.images, second.images), targets, rows)

    def _scores(self, model: nn.Module, images: Images, shard: Shard, total: Callable[[Tensor], Tensor]) -> RowScores:
        """Return the scores of all images, in every process."""
        mine = torch.arange(len(images), device=images.labels.device)[shard.index :: shard.count]
        scores = torch.zeros(len(images), len(fields(RowScores)), dtype=torch.float64, device=mine.device)
        for rows in torch.split(mine, EVALUATION_BATCH):
            batch = self._batch(images, rows)
            logits = model.head(model(*batch.inputs))  # type: ignore[operator]
            scores[rows] = RowScores.of(logits, batch.labels).stacked()
        return RowScores(*total(scores).unbind(1))


def make_loss(
    config: VisionConfig, model: nn.Module, label_names: Sequence[str], samples: int, steps_per_epoch: int
) -> Loss:
    """Return the loss of the config's method for a model with a ``head``. Raises as ``build_loss`` does."""
    assert isinstance(model.head, nn.Linear)
    around = LossContext(
        model.head.in_features,
        label_names,
        samples,
        config.epochs,
        config.epochs * steps_per_epoch,
        seed=stream_seed(config.seed, "method"),
    )
    loss = build_loss(config.method, config.method_config, around)
    if isinstance(loss, LabelEmbeddingLoss) and hasattr(model, "head_std"):  # both heads start alike, as published
        initialise(loss.auxiliary, model.head_std)  # type: ignore[arg-type]
    return loss
