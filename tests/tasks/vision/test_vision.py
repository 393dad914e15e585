"""Data sets, batches and nets."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, log_loss

from labelemb.errors import ConfigError, DataError
from labelemb.runs import RunFolder
from labelemb.runs.predictions import read_predictions
from labelemb.tasks.classification.splits import stratified_holdout
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import load
from labelemb.tasks.vision.datasets.mnist import FILES, load_mnist, parse_idx
from labelemb.tasks.vision.images import Normalize
from labelemb.tasks.vision.models import build_model
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.task import Shard


def test_digits_splits_are_fixed_stratified_and_disjoint() -> None:
    data = load("digits", None)
    sizes = [len(split) for split in (data.train, data.valid, data.test)]
    assert sizes == [1259, 179, 359]
    assert data.digest == load("digits", None).digest
    for split in (data.valid, data.test):
        counts = torch.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 2
    seen = torch.cat([split.pixels.flatten(1) for split in (data.train, data.valid, data.test)])
    assert len(seen.unique(dim=0)) == 1797, "all images differ"


def test_stratified_holdout() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    kept, held = stratified_holdout(labels, 10, seed=0)
    assert torch.bincount(labels[held]).tolist() == [6, 3, 1]
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(100))
    assert torch.equal(held, stratified_holdout(labels, 10, seed=0)[1])


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


def test_parse_idx() -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert torch.equal(parse_idx(idx(values)), torch.from_numpy(values))
    for content in (b"", b"\0\0\x09\1", idx(values)[:-1], idx(values) + b"x", b"\0\0\x08\3\0"):
        with pytest.raises(DataError, match="IDX"):
            parse_idx(content)


def test_mnist_errors_name_the_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\[\.gz\].*got no train-images"):
        load_mnist(tmp_path)
    (tmp_path / "mnist").mkdir()
    for name in FILES:
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(idx(np.zeros(3, np.uint8))))
    with pytest.raises(DataError, match="expected contents with sha256"):
        load_mnist(tmp_path)
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"cut")[:-12])
    with pytest.raises(DataError, match="a file of MNIST"):
        load_mnist(tmp_path)


@pytest.mark.full_data
@pytest.mark.skipif("LABELEMB_DATA" not in os.environ, reason="LABELEMB_DATA does not point at the full data sets")
def test_full_mnist() -> None:
    data = load_mnist(Path(os.environ["LABELEMB_DATA"]))
    assert [len(split) for split in (data.train, data.valid, data.test)] == [55_000, 5_000, 10_000]
    assert data.train.pixels.shape[1:] == (1, 28, 28)
    everything = torch.cat([data.valid.pixels, data.train.pixels]).double() / 255
    assert float(everything.mean()) == pytest.approx(0.13066, abs=1e-5)
    assert data.valid.labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_normalise() -> None:
    pixels = torch.randint(256, (3, 2, 4, 4), dtype=torch.uint8)
    mean, std = (0.5, 0.25), (0.2, 0.1)
    got = Normalize(mean, std, torch.device("cpu"), channels_last=True)(pixels)
    want = (pixels / 255 - torch.tensor(mean).view(1, 2, 1, 1)) / torch.tensor(std).view(1, 2, 1, 1)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize(("name", "size"), [("mlp", 500), ("cnn", 1024)])
def test_networks_have_the_published_shapes(name: str, size: int) -> None:
    model = build_model(name, (1, 28, 28), 10)
    hidden = model(torch.rand(2, 1, 28, 28))
    assert hidden.shape == (2, size)
    assert model.head(hidden).shape == (2, 10)
    parameters = {"mlp": 784 * 500 + 500 + 500 * 500 + 500 + 5010, "cnn": 832 + 51264 + 3136 * 1024 + 1024 + 10250}
    assert sum(p.numel() for p in model.parameters()) == parameters[name]


def test_initialization_is_a_truncated_normal() -> None:
    torch.manual_seed(0)
    model = build_model("mlp", (1, 28, 28), 10)
    weight = model.layers[1].weight.detach()
    assert float(weight.abs().max()) <= 0.2
    assert float(weight.std()) == pytest.approx(0.088, abs=0.001)  # 0.1, cut at two deviations
    assert float(model.head.weight.detach().abs().max()) <= 0.02
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="dataset: expected digits, mnist, .*, got 'minst'"):
        load("minst", None)
    with pytest.raises(ConfigError, match=r"model: .*; epochs: expected a whole number >= 1, got 0"):
        VisionConfig(model="mpl", epochs=0)


@pytest.mark.parametrize("shard", [Shard(), Shard(1, 2), Shard(0, 2, 3), Shard(2, 3, 2)])
def test_shards_make_up_the_batch(shard: Shard) -> None:
    rows = torch.arange(11)
    everyone = [Shard(i, shard.count, shard.gradient_accumulation_steps).pieces(rows) for i in range(shard.count)]
    assert all(len(pieces) == shard.gradient_accumulation_steps for pieces in everyone)
    assert sorted(torch.cat([piece for pieces in everyone for piece in pieces]).tolist()) == list(range(11))


def test_epoch_has_each_image_once_and_can_be_resumed() -> None:
    task = VisionTask(VisionConfig(batch_size=100), load("digits", None))
    task.setup(torch.device("cpu"))
    whole = [pieces[0].images for pieces in task.batches(3, 0, Shard())]
    assert len(whole) == task.steps_per_epoch == 13
    assert sum(map(len, whole)) == 1259
    rest = [pieces[0].images for pieces in task.batches(3, 5, Shard())]
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], rest, strict=True))
    assert not torch.equal(whole[0], next(iter(task.batches(4, 0, Shard())))[0].images)


def conv(inputs: int, outputs: int, side: int = 3) -> int:
    return inputs * outputs * side**2 + 2 * outputs  # no bias, but batch normalization


def test_resnets_have_the_published_shapes() -> None:
    with torch.device("meta"):
        small, large = build_model("resnet8", (3, 32, 32), 10), build_model("resnet18", (3, 32, 32), 100)
        assert small(torch.empty(2, 3, 32, 32)).shape == (2, 2048)
        assert large(torch.empty(2, 3, 32, 32)).shape == (2, 1024)
        assert [b.conv2.out_channels for b in large.blocks] == [128, 128, 256, 256, 512, 512, 1024, 1024]
        assert small.blocks(small.stem(torch.empty(2, 3, 32, 32))).shape == (2, 512, 8, 8), "a 4x4 pool leaves 2x2"
        assert large.blocks(large.stem(torch.empty(2, 3, 32, 32))).shape == (2, 1024, 4, 4), "a 4x4 pool leaves 1x1"
    widen = [conv(128, 256) + conv(256, 256) + conv(128, 256, 1), conv(256, 512) + conv(512, 512) + conv(256, 512, 1)]
    expected = conv(3, 128) + 2 * conv(128, 128) + sum(widen) + 2048 * 10 + 10
    assert sum(p.numel() for p in small.parameters()) == expected
    widen.append(conv(512, 1024) + conv(1024, 1024) + conv(512, 1024, 1))
    again = 2 * (conv(256, 256) + conv(512, 512) + conv(1024, 1024))
    expected = conv(3, 128) + 4 * conv(128, 128) + sum(widen) + again + 1024 * 100 + 100
    assert sum(p.numel() for p in large.parameters()) == expected


@pytest.mark.parametrize(("name", "size"), [("resnet8", 64), ("resnet18", 32)])
@pytest.mark.parametrize("image", [32, 28, 45])
def test_resnet_width_and_image_size(name: str, size: int, image: int) -> None:
    model = build_model(name, (1, image, image), 7, width=4)
    hidden = model(torch.rand(2, 1, image, image))
    assert hidden.shape == (2, size)
    model.head(hidden).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ConfigError, match="model: expected images of 8x8 or more for a ResNet, got 7x8"):
        build_model(name, (1, 7, 8), 7)


def test_compile_keeps_parameter_names() -> None:
    tasks = [VisionTask(VisionConfig(compile=chosen), load("digits", None)) for chosen in (False, True)]
    assert tasks[0].model.state_dict().keys() == tasks[1].model.state_dict().keys()
    assert [task.model._compiled_call_impl is None for task in tasks] == [True, False]


def test_images_per_label_is_a_nested_subset_of_the_training_split() -> None:
    whole = load("digits", None)
    few, more = whole.limited(3), whole.limited(7)
    assert few.train.labels.bincount().tolist() == [3] * 10
    rows = {bytes(pixels.numpy().tobytes()) for pixels in more.train.pixels}
    assert all(pixels.numpy().tobytes() in rows for pixels in few.train.pixels)
    assert few.valid is whole.valid
    assert few.test is whole.test
    assert "3 training images per label" in few.note
    assert len(whole.limited(10_000).train) == len(whole.train)


def test_evaluation_equals_scikit_learn_and_shards_add_up(tmp_path: Path) -> None:
    data = load("digits", None)
    task = VisionTask(VisionConfig(epochs=1), data)
    task.setup(torch.device("cpu"))
    with torch.no_grad():
        figures = task.evaluate(task.model, Shard(), lambda values: values)
        logits = task.model.head(task.model(data.test.pixels / 255))  # type: ignore[operator]
    assert figures["test_nll"] == pytest.approx(log_loss(data.test.labels, torch.softmax(logits.double(), 1)), rel=1e-5)
    errors = 100 * (1 - confusion_matrix(data.test.labels, logits.argmax(1), normalize="true").diagonal())
    run = RunFolder(tmp_path)
    task.save_artifacts(run)
    assert list(run.errors_by_label()["test"].values()) == pytest.approx(errors.tolist())
    saved = read_predictions(run.predictions_file)["last/test"]
    assert saved.label.tolist() == data.test.labels.tolist()
    assert saved.predicted.tolist() == logits.argmax(1).tolist()
    p = torch.softmax(logits, 1)
    assert saved.confidence.tolist() == pytest.approx(p.amax(1).tolist(), rel=1e-5)
    assert saved.true_probability.tolist() == pytest.approx(p[range(len(p)), data.test.labels].tolist(), rel=1e-4)

    sent: dict[int, torch.Tensor] = {}

    def add(values: torch.Tensor) -> torch.Tensor:
        """Keep the sum of what processes send, by the size of the split."""
        sent[len(values)] = sent.get(len(values), torch.zeros_like(values)) + values
        return sent[len(values)]

    with torch.no_grad():
        for index in range(3):
            together = task.evaluate(task.model, Shard(index, 3), add)
    assert together == figures


@pytest.mark.parametrize(("width", "expected"), [(None, True), (16, True), (2, False), (12, False)])
def test_narrow_models_avoid_the_channels_last_format(width: int | None, expected: bool) -> None:
    """Backward convolutions of fewer than 8 channels corrupt memory on CPUs without AVX-512."""
    assert VisionConfig(width=width).in_channels_last is expected
    assert not VisionConfig(width=width, channels_last=False).in_channels_last
