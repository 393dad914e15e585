"""CIFAR and own images, from every form that they come in."""

import gzip
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from labelemb.errors import ConfigError, DataError
from labelemb.tasks.vision.datasets import DataOptions, cifar_archives, digits, load, load_digits
from labelemb.tasks.vision.datasets.cache import Decoded, cache_folder, cached
from labelemb.tasks.vision.datasets.decode import decode, read_image
from labelemb.tasks.vision.datasets.unpickle import unpickle_plain
from labelemb.tasks.vision.images import Images, channel_statistics

from .conftest import as_python2, cifar10_members, encode, pack, records, toy_images, write_members, write_parquet

NAMES = [f"class{n}" for n in range(10)]
TRAIN, TEST = toy_images(50, 10, seed=0), toy_images(20, 10, seed=1)
FOLDERS = {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"}


def assert_same(got: Images, want: Images) -> None:
    assert torch.equal(got.pixels, want.pixels)
    assert torch.equal(got.labels, want.labels)


@pytest.mark.parametrize("form", ["python", "binary"])
@pytest.mark.parametrize("where", ["packed", "unpacked", "below", "itself"])
def test_cifar10_archives(tmp_path: Path, form: str, where: str) -> None:
    folder = tmp_path / "data" / ("cifar10" if where == "below" else "") / FOLDERS[form]
    write_members(folder, cifar10_members(form, TRAIN, TEST, NAMES))
    if where == "packed":
        pack(folder, folder.parent / f"cifar-10-{form}.tar.gz")
        shutil.rmtree(folder)
    data = load("cifar10", folder if where == "itself" else tmp_path / "data")
    assert_same(data.train, TRAIN)
    assert_same(data.test, TEST)
    assert data.label_names == tuple(NAMES)
    assert data.valid is None
    assert data.note == "a part of CIFAR-10: 50 + 20 images"
    assert data.mean == (0.49140, 0.48216, 0.44653)


@pytest.mark.parametrize("form", ["python", "binary", "parquet"])
@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_cifar100_fine_and_coarse(tmp_path: Path, form: str, level: Any) -> None:
    train = toy_images(200, 100, seed=2)
    coarse = train.labels % 20
    names = {"fine": [f"f{n}" for n in range(100)], "coarse": [f"c{n}" for n in range(20)]}
    if form == "parquet":
        for split in ("train", "test"):
            images = train if level == "fine" else Images(train.pixels, coarse)
            write_parquet(tmp_path / "cifar100" / f"{split}.parquet", images, names[level], f"{level}_label")
    elif form == "binary":
        content = records([coarse, train.labels], train.pixels)
        texts = {f"{level}_label_names.txt": "\n".join(names[level]).encode() for level in names}
        write_members(tmp_path / "cifar-100-binary", {"train.bin": content, "test.bin": content, **texts})
    else:
        batch = {b"fine_labels": train.labels.tolist(), b"coarse_labels": coarse.tolist()}
        content = as_python2({b"data": train.pixels.flatten(1).numpy(), **batch})
        meta = {f"{level}_label_names".encode(): [n.encode() for n in names[level]] for level in names}
        write_members(tmp_path / "cifar-100-python", {"train": content, "test": content, "meta": as_python2(meta)})
    data = load("cifar100", tmp_path, DataOptions(label_level=level))
    assert data.label_names == tuple(names[level])
    assert torch.equal(data.train.labels, train.labels if level == "fine" else coarse)
    assert torch.equal(data.train.pixels, train.pixels)
    assert data.std == (0.26733429, 0.25643846, 0.27615047)


@pytest.mark.parametrize("place", ["", "cifar10", "data", "cifar10/plain_text"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cifar10_parquet(tmp_path: Path, place: str, kind: str) -> None:
    write_parquet(tmp_path / place / "train-00000-of-00002.parquet", TRAIN[:30], NAMES, kind=kind)
    write_parquet(tmp_path / place / "train-00001-of-00002.parquet", TRAIN[30:], NAMES, kind=kind)
    write_parquet(tmp_path / place / "test-00000-of-00001.parquet", TEST, NAMES, kind=kind)
    data = load("cifar10", tmp_path)
    assert torch.equal(data.train.labels, TRAIN.labels)
    assert torch.equal(data.train.pixels, TRAIN.pixels) == (kind == "PNG")
    assert ("JPEG-compressed CIFAR-10" in data.note) == (kind == "JPEG"), "who reads a figure must know"


def test_validation_split_is_fixed_and_stratified(tmp_path: Path) -> None:
    write_members(tmp_path / FOLDERS["binary"], cifar10_members("binary", TRAIN, TEST, NAMES))
    data = load("cifar10", tmp_path, DataOptions(validate=True))
    assert (len(data.train), len(data.valid)) == (45, 5)
    assert_same(load("cifar10", tmp_path, DataOptions(validate=True)).valid, data.valid)
    assert_same(data.test, TEST)
    whole = load("digits", None, DataOptions(validate=False))
    assert (len(whole.train), whole.valid) == (1259 + 179, None)


def test_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from its file, and by its function where the file is not found."""
    found = [load_digits()]
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    found.append(load_digits())
    for data in found:
        assert (len(data.train), len(data.valid or []), len(data.test)) == (1259, 179, 359)
    assert_same(found[0].train, found[1].train)


class TestErrors:
    """What is missing, damaged or something else is said in one line."""

    def test_missing_files(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"train\*\.parquet .* cifar-10-python\.tar\.gz or cifar-10-batches-py/"):
            load("cifar10", tmp_path)

    def test_failed_download(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import pooch

        def fail(*arguments: object, known_hash: str, **keywords: object) -> None:
            assert known_hash == "md5:c58f30108f718f92721af3b95e74349a"
            raise ConnectionError

        monkeypatch.setattr(pooch, "retrieve", fail)
        with pytest.raises(DataError, match="no download of .* \\(ConnectionError\\).*--data DIR"):
            load("cifar10", None)

    def test_files_of_the_other_cifar_are_refused(self, tmp_path: Path) -> None:
        write_members(tmp_path / "cifar-10-batches-bin", cifar10_members("binary", TRAIN, TEST, NAMES[:7]))
        with pytest.raises(DataError, match="labels 0 to 6, got 9"):
            load("cifar10", tmp_path)
        for split in ("train", "test"):
            write_parquet(tmp_path / f"{split}.parquet", TRAIN, NAMES)
        with pytest.raises(DataError, match="CIFAR-100 with 100 labels, got 10"):
            load("cifar100", tmp_path)

    def test_damaged_archives(self, tmp_path: Path) -> None:
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"rubbish")
        with pytest.raises(DataError, match="a readable tar.gz archive"):
            load("cifar10", tmp_path)
        (tmp_path / "cifar-10-python.tar.gz").unlink()
        members = cifar10_members("binary", TRAIN, TEST, NAMES)
        write_members(tmp_path / FOLDERS["binary"], members | {"data_batch_3.bin": b"short"})
        with pytest.raises(DataError, match="data_batch_3.bin: expected records of 3073 bytes, got 5"):
            load("cifar10", tmp_path)
        (tmp_path / FOLDERS["binary"] / "data_batch_3.bin").unlink()
        with pytest.raises(DataError, match="got no data_batch_3.bin"):
            load("cifar10", tmp_path)

    def test_archive_with_a_flipped_bit_is_refused(self, tmp_path: Path) -> None:
        """Wherever it is, unless what is decompressed stays the same: deflate can write zeros in two ways."""
        folder = tmp_path / FOLDERS["python"]
        write_members(folder, cifar10_members("python", TRAIN, TEST, NAMES))
        archive = tmp_path / "cifar-10-python.tar.gz"
        pack(folder, archive)
        shutil.rmtree(folder)
        content = archive.read_bytes()
        refused = 0
        for place in range(40, len(content), len(content) // 12):
            archive.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            try:
                load("cifar10", tmp_path)
            except DataError:
                refused += 1
            else:
                assert gzip.decompress(archive.read_bytes()) == gzip.decompress(content), f"byte {place}"
        assert refused >= 10

    def test_damaged_parquet(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            (tmp_path / f"{split}.parquet").write_bytes(b"rubbish")
        with pytest.raises(DataError, match="a readable parquet file"):
            load("cifar10", tmp_path)

    @pytest.mark.parametrize("name", ["imagefolder:", "hub:", "folder:x", "minst"])
    def test_unknown_data_set_names(self, name: str) -> None:
        with pytest.raises(ConfigError, match="dataset: expected digits, mnist, cifar10, cifar100, imagefolder:PATH"):
            load(name, None)

    def test_options_of_other_data_sets_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="label_level: expected fine for digits"):
            load("digits", None, DataOptions(label_level="coarse"))
        with pytest.raises(ConfigError, match="image_size: expected null for digits"):
            load("digits", None, DataOptions(image_size=16))


class TestPickles:
    """Only plain values come out, and nothing is executed."""

    @pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
    def test_plain_values_and_arrays_are_loaded(self, protocol: int) -> None:
        array = np.arange(24, dtype=np.uint8).reshape(4, 6)
        value = {b"data": array, b"turned": np.asfortranarray(array), b"labels": [1, 2], b"t": (b"x", None, 1.5)}
        got = unpickle_plain(pickle.dumps(value, protocol=protocol), "a pickle")
        assert np.array_equal(got[b"data"], array)
        assert np.array_equal(got[b"turned"], array)
        assert (got[b"labels"], got[b"t"]) == ([1, 2], (b"x", None, 1.5))

    def test_python_2_strings_are_bytes(self) -> None:
        assert unpickle_plain(b"\x80\x02}q\x00U\x04dataq\x01K\x07s.", "p") == {b"data": 7}

    @pytest.mark.parametrize(
        "make",
        [
            lambda file: (os.system, (f"touch {file}",)),
            lambda file: (eval, (f"open({str(file)!r}, 'w')",)),
            lambda file: (__import__, ("this",)),
            lambda file: (np.load, (str(file),)),
            lambda file: (np.frombuffer, (b"12345678", "O")),
            lambda file: (getattr, ({}, "keys")),
        ],
    )
    def test_hostile_pickle_is_refused(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        class Hostile:
            def __reduce__(self) -> Any:
                return make(tmp_path / "executed")

        for protocol in range(5):
            with pytest.raises(DataError, match="numpy arrays and plain containers only"):
                unpickle_plain(pickle.dumps({b"data": Hostile()}, protocol=protocol), "p")
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize(
        "content",
        [
            b"rubbish",
            b"",
            pickle.dumps(np.arange(3.0), protocol=2),
            pickle.dumps(np.array([None, {}], dtype=object), protocol=2),
            b"cnumpy\nndarray\n.",  # a class by itself
            b"cnumpy\nndarray\n}(S'value'\nI1\nub.",  # attributes for a class
            b"cnumpy.core.multiarray\n_reconstruct\n(N}S'__new__'\nI1\nstb.",  # a state for a function
            b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        ],
    )
    def test_other_content_is_refused(self, content: bytes) -> None:
        with pytest.raises(DataError):
            unpickle_plain(content, "p")

    def test_nested_references_are_visited_once(self) -> None:
        value: list[Any] = []
        for _ in range(200):
            value = [value, value]
        got = unpickle_plain(pickle.dumps({b"a": value}), "p")[b"a"]
        assert got[0] is got[1]

    @pytest.mark.parametrize("labels", [[2**70] * 20, [-1] * 20, [True] * 20, ["1"] * 20])
    def test_invalid_labels_are_refused(self, tmp_path: Path, labels: list[Any]) -> None:
        batch = {b"data": TEST.pixels.numpy().reshape(20, -1), b"labels": labels}
        members = cifar10_members("python", TRAIN, TEST, NAMES) | {"test_batch": pickle.dumps(batch, 2)}
        write_members(tmp_path / FOLDERS["python"], members)
        with pytest.raises(DataError, match="20 whole numbers from 0 to 255 as labels"):
            load("cifar10", tmp_path)

    def test_invalid_label_names_are_refused(self, tmp_path: Path) -> None:
        members = cifar10_members("python", TRAIN, TEST, NAMES)
        members["batches.meta"] = pickle.dumps({b"label_names": [b"\xff"] * 10}, 2)
        write_members(tmp_path / FOLDERS["python"], members)
        with pytest.raises(DataError, match="label names in UTF-8"):
            load("cifar10", tmp_path)

    def test_hostile_archive_is_refused(self, tmp_path: Path) -> None:
        class Hostile:
            def __reduce__(self) -> Any:
                return os.system, (f"touch {tmp_path / 'executed'}",)

        members = cifar10_members("python", TRAIN, TEST, NAMES) | {"data_batch_2": pickle.dumps(Hostile(), 2)}
        write_members(tmp_path / FOLDERS["python"], members)
        with pytest.raises(DataError, match="got posix.system|got nt.system"):
            load("cifar10", tmp_path)
        assert not (tmp_path / "executed").exists()


class TestCache:
    """Decoded once; what is damaged is made again."""

    def test_cache_is_written_once_and_regenerated_when_damaged(self) -> None:
        made: list[int] = []

        def make() -> Decoded:
            made.append(1)
            return Decoded({"train": TRAIN, "test": TEST}, ("ä", "b"), jpeg=True)

        for _ in range(2):
            got = cached("toy", ["x"], make)
            assert_same(got.splits["train"], TRAIN)
            assert (got.label_names, got.jpeg) == (("ä", "b"), True)
        assert len(made) == 1
        cached("toy", ["y"], make)
        assert len(made) == 2
        for file in (cache_folder() / "images").iterdir():
            content = bytearray(file.read_bytes())
            content[-5] ^= 1
            file.write_bytes(content)
        assert_same(cached("toy", ["x"], make).splits["test"], TEST)
        assert len(made) == 3
        for file in (cache_folder() / "images").iterdir():
            file.write_bytes(b"rubbish")
        cached("toy", ["x"], make)
        assert len(made) == 4

    def test_loading_without_a_writable_cache(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file where the folder should be")
        assert_same(cached("toy", ["x"], lambda: Decoded({"train": TRAIN}, ("a",))).splits["train"], TRAIN)


def write_folders(root: Path, parts: dict[str, int], names: tuple[str, ...] = ("cat", "dog")) -> None:
    for part, count in parts.items():
        for label, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((20, 30, 3), 60 + 120 * label + number, dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")


class TestCustomImages:
    """Folders per label, and the hub."""

    def test_folders_without_splits(self, tmp_path: Path) -> None:
        write_folders(tmp_path / "pets", {"": 30})
        (tmp_path / "pets" / ".hidden").mkdir()
        (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
        data = load(f"imagefolder:{tmp_path / 'pets'}", None)
        assert data.label_names == ("cat", "dog")
        assert [len(split) for split in (data.train, data.valid, data.test)] == [44, 4, 12]
        assert data.image_shape == (3, 32, 32)
        for split in (data.train, data.valid, data.test):
            bright = split.pixels.float().mean((1, 2, 3)) > 120
            assert torch.equal(bright, split.labels == 1)
        whole = load(f"imagefolder:{tmp_path / 'pets'}", None, DataOptions(validate=False))
        assert (len(whole.train), whole.valid) == (48, None)
        mean, std = data.mean, data.std
        values = whole.train.pixels.double() / 255
        assert mean == pytest.approx(values.mean((0, 2, 3)).tolist())
        assert std == pytest.approx(values.std((0, 2, 3), correction=0).tolist())

    def test_folders_with_splits_and_image_size(self, tmp_path: Path) -> None:
        write_folders(tmp_path / "pets", {"train": 12, "val": 3, "test": 5})
        data = load(f"imagefolder:{tmp_path / 'pets'}", None, DataOptions(image_size=16))
        assert [len(split) for split in (data.train, data.valid, data.test)] == [24, 6, 10]
        assert data.image_shape == (3, 16, 16)

    def test_a_changed_image_is_decoded_again(self, tmp_path: Path) -> None:
        write_folders(tmp_path / "pets", {"": 10})
        before = load(f"imagefolder:{tmp_path / 'pets'}", None).digest
        Image.fromarray(np.zeros((20, 31, 3), np.uint8)).save(tmp_path / "pets" / "cat" / "3.png")
        assert load(f"imagefolder:{tmp_path / 'pets'}", None).digest != before

    def test_minimum_number_of_images(self, tmp_path: Path) -> None:
        write_folders(tmp_path / "pets", {"": 5})
        (tmp_path / "pets" / "cat" / "._0.png").write_bytes(b"what a Mac leaves")
        data = load(f"imagefolder:{tmp_path / 'pets'}", None)
        assert [len(split) for split in (data.train, data.valid, data.test)] == [7, 1, 2]

    def test_errors(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="got no folder"):
            load(f"imagefolder:{tmp_path / 'nowhere'}", None)
        write_folders(tmp_path / "one", {"": 3}, names=("cat",))
        with pytest.raises(DataError, match="at least two folders, one per label, got 1"):
            load(f"imagefolder:{tmp_path / 'one'}", None)
        write_folders(tmp_path / "pets", {"train": 12, "test": 5})
        (tmp_path / "pets" / "test" / "cow").mkdir()
        with pytest.raises(DataError, match="only folders named after labels: cat, dog, got cow"):
            load(f"imagefolder:{tmp_path / 'pets'}", None)
        (tmp_path / "pets" / "test" / "cow").rmdir()
        (tmp_path / "pets" / "train" / "dog" / "7.png").write_bytes(b"rubbish")
        with pytest.raises(DataError, match=r"an image .*, got .*dog/7.png"):
            load(f"imagefolder:{tmp_path / 'pets'}", None)
        write_folders(tmp_path / "few", {"": 2})
        with pytest.raises(DataError, match="at least 10 training images, got 4"):
            load(f"imagefolder:{tmp_path / 'few'}", None)

    def test_hub_data_set(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
        write_parquet(tmp_path / "set" / "train.parquet", TRAIN, NAMES)
        write_parquet(tmp_path / "set" / "test.parquet", TEST, NAMES)
        data = load(f"hub:{tmp_path / 'set'}", None, DataOptions(validate=False))
        assert_same(data.train, TRAIN)
        assert_same(data.test, TEST)
        assert data.label_names == tuple(NAMES)
        with pytest.raises(DataError, match="dataset: expected a loadable data set"):
            load(f"hub:{tmp_path / 'nowhere'}", None)


def test_images_are_centre_cropped_and_resized() -> None:
    pixels = torch.zeros(3, 20, 60, dtype=torch.uint8)
    pixels[:, :, 20:40] = 200
    image = read_image(encode(pixels), 3, (10, 10))
    assert image.shape == (3, 10, 10)
    assert (image[:, :, 2:8] == 200).all()
    assert read_image(encode(pixels), 1, None).shape == (1, 20, 60)


def test_sixteen_bit_images_are_scaled(tmp_path: Path) -> None:
    ramp = np.arange(0, 65_536, 1024, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert np.array_equal(read_image(tmp_path / "ramp.png", 1, None)[0], ramp >> 8)
    assert np.array_equal(read_image(tmp_path / "ramp.png", 3, None)[2], ramp >> 8)
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match="32 bits per pixel"):
        read_image(tmp_path / "float.tif", 1, None)


def test_images_of_different_sizes_need_image_size() -> None:
    contents = [encode(torch.zeros(3, size, size, dtype=torch.uint8)) for size in (8, 9)]
    assert decode(contents, 3, (8, 8), "toys").shape == (2, 3, 8, 8)
    with pytest.raises(DataError, match="toys: expected images of equal size, 8x8, got one of 9x9. Set image_size"):
        decode(contents, 3, None, "toys")


@pytest.mark.full_data
@pytest.mark.skipif("LABELEMB_DATA" not in os.environ, reason="LABELEMB_DATA does not point at the full data sets")
@pytest.mark.parametrize(("name", "labels"), [("cifar10", 10), ("cifar100", 100)])
def test_full_cifar(name: str, labels: int) -> None:
    data = load(name, Path(os.environ["LABELEMB_DATA"]), DataOptions(validate=True))
    assert [len(split) for split in (data.train, data.valid, data.test)] == [45_000, 5_000, 10_000]
    assert torch.bincount(data.valid.labels).tolist() == [5_000 // labels] * labels
    mean, std = channel_statistics(data.train)
    assert mean == pytest.approx(data.mean, abs=0.002)
    assert std == pytest.approx(data.std, abs=0.003)


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_archives_are_bounded(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_archives, "LARGEST", 1000)
    (tmp_path / "batch").write_bytes(bytes(1001))
    if packed:
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "batch", "folder/batch")
    with pytest.raises(DataError, match="at most 1,000 bytes"):
        cifar_archives.read_members(tmp_path / "a.tar.gz" if packed else tmp_path, ["batch"])
