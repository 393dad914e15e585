"""Overhead of the label embedding in a whole training step, and gain of memory format and precision.

    python -m benchmarks.training_step

Targets on a CPU: label-embedding step over one-hot step <= 1.05 for the CNN and the ResNet, <= 1.20 for the MLP; the
CNN preset at least twice as fast as the same network in fp32 NCHW. A step is what the training loop does: batch from
uint8, crop and flip if the preset has them, forward, loss, backward, Adam. With one thread (default) CPU time is
measured.
"""

import argparse
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from torch import nn

from benchmarks.measure import clock, time_interleaved
from benchmarks.tables import Comparison, show, write
from labelemb.presets import read_preset
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.images import ImageData, Images
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.device import make_accelerator
from labelemb.training.settings import FitSettings
from labelemb.training.state import RunningSums, TrainState

BATCH = 100
IMAGES = {"mnist": ((1, 28, 28), 10), "cifar100": ((3, 32, 32), 100)}  # data set -> shape of an image, labels
RESULTS = Path(__file__).parent / "results" / "training_step.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=40, help="measured rounds")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rounds = args.rounds
    mlp, cnn, resnet = config("mnist-mlp"), config("mnist-cnn"), config("cifar100-small")
    timed = partial(time_interleaved, repeats=rounds, warmup=5, clock=clock())
    timings = timed({"mlp, one-hot": step(mlp, "cross_entropy"), "mlp, label embedding": step(mlp, "label_embedding")})
    # Accelerate allows one precision per process; nothing created above is used below.
    AcceleratorState._reset_state()
    one_hot, label_embedding = step(cnn, "cross_entropy"), step(cnn, "label_embedding")
    timings |= timed({"cnn preset, one-hot": one_hot, "cnn preset, label embedding": label_embedding})
    resnets = {"one-hot": step(resnet, "cross_entropy"), "label embedding": step(resnet, "label_embedding")}
    timings |= timed({f"resnet8 of width 16, {name}": call for name, call in resnets.items()})
    mlp_plain, mlp_emb, cnn_plain, cnn_emb, resnet_plain, resnet_emb = timings.values()
    beside, cnn_fp32 = timed({"preset": one_hot, "plain": plain_step(cnn)}).values()
    timings["cnn in plain PyTorch, fp32 NCHW, one-hot"] = cnn_fp32
    ratios = {
        "label embedding over one-hot, MLP (target <= 1.20)": mlp_emb.over(mlp_plain),
        "label embedding over one-hot, CNN (target <= 1.05)": cnn_emb.over(cnn_plain),
        "label embedding over one-hot, ResNet-8, 100 labels (target <= 1.05)": resnet_emb.over(resnet_plain),
        f"fp32 NCHW over the CNN preset ({cnn.precision}) (target >= 2)": cnn_fp32.over(beside),
    }
    table = Comparison(f"training step, {BATCH} images", timings, "images", BATCH, ratios)
    show(table, note=f"{rounds} interleaved rounds")
    write(RESULTS, table)


def config(preset: str) -> VisionConfig:
    """Return the config of a preset on this machine."""
    return VisionConfig(**read_preset(preset).values | {"batch_size": BATCH}).resolved()


def random_task(config: VisionConfig) -> VisionTask:
    """Return the preset's model and loss with random images of its data set's shape."""
    shape, labels = IMAGES[config.dataset]
    rows, channels = 10 * config.batch_size, shape[0]
    images = Images(torch.randint(256, (rows, *shape), dtype=torch.uint8), torch.randint(labels, (rows,)))
    names = tuple(map(str, range(labels)))
    return VisionTask(config, ImageData(images, None, images[:1], names, (0.0,) * channels, (1.0,) * channels))


def step(config: VisionConfig, method: str) -> Callable[[], object]:
    """Return one step of the training loop."""
    config = replace(config, method=method)
    task = random_task(config)
    settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
    accelerator = make_accelerator(config.precision, config.device, "none", Path())
    train_state = TrainState.prepare(task, settings, accelerator)
    batches = itertools.chain.from_iterable(task.batches(epoch, 0, train_state.shard) for epoch in itertools.count())
    return lambda: train_state.step(next(batches), settings.optimizer.learning_rate, RunningSums())


def plain_step(config: VisionConfig) -> Callable[[], object]:
    """Return the step of a plain script: the same model, fp32, NCHW, ``F.cross_entropy`` and Adam."""
    task = random_task(replace(config, method="cross_entropy", channels_last=False))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=config.optimizer_settings.learning_rate)
    pixels, labels = task.data.train.decoded(), task.data.train.labels

    def take() -> None:
        rows = torch.randint(len(labels), (config.batch_size,))
        logits = task.model.head(task.model(pixels[rows].float() / 255))  # type: ignore[operator]
        torch.autograd.backward(nn.functional.cross_entropy(logits, labels[rows]))
        optimizer.step()
        optimizer.zero_grad()

    return take


if __name__ == "__main__":
    main()
