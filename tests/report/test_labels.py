from pathlib import Path

import numpy as np
import pytest
import torch

from labelemb.errors import ConfigError, DataError
from labelemb.report import similar
from labelemb.report.charts.label_map import nearest_labels
from labelemb.report.experiment import Group, load_experiments
from labelemb.report.label_layout import label_distances
from labelemb.report.labels import MAX_LABELS, label_views, top_pairs
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding
from tests.report.conftest import ANIMAL_ROWS, ANIMALS, WriteRun, soft


@pytest.fixture
def embedding(tmp_path: Path) -> LabelEmbedding:
    dense = DenseLabelEmbedding(4)
    dense.load_state_dict({"weight": soft(*ANIMAL_ROWS)})
    dense.save(tmp_path / "e.safetensors", ANIMALS)
    return LabelEmbedding.load(tmp_path / "e.safetensors")


def groups_of(runs: Path) -> list[Group]:
    return [group for task in load_experiments([runs])[0] for group in task.groups.values()]


def test_similar_by_name(embedding: LabelEmbedding) -> None:
    found = similar(embedding, "cat", top=2)
    assert [name for name, _ in found] == ["dog", "car"]
    assert [value for _, value in found] == pytest.approx([0.3, 0.06])


def test_similar_leaves_out_the_label_itself_and_ends_with_the_labels(embedding: LabelEmbedding) -> None:
    assert [name for name, _ in similar(embedding, 3, top=99)] == ["car", "dog", "cat"]


def test_similar_without_names_goes_by_number() -> None:
    nameless = DenseLabelEmbedding(3)
    assert similar(nameless, "1", top=1) == similar(nameless, 1, top=1)
    assert similar(nameless, "1", top=1)[0][0] in {"0", "2"}


def test_similar_reads_one_row_of_a_compressed_embedding() -> None:
    compressed = CompressedLabelEmbedding(50, 3)
    name, probability = similar(compressed, 7, top=1)[0]
    row = compressed.soft_labels()[7].detach()
    row[7] = 0
    assert (name, probability) == (str(int(row.argmax())), pytest.approx(float(row.max())))


def test_similar_names_close_matches(embedding: LabelEmbedding) -> None:
    with pytest.raises(DataError, match=r"label: expected one of 4 labels .*, got 'Dgo'\. Close to 'Dgo': dog"):
        similar(embedding, "Dgo")


@pytest.mark.parametrize("label", [4, -1, "4", "nothing like it"])
def test_similar_refuses_what_is_no_label(embedding: LabelEmbedding, label: str | int) -> None:
    with pytest.raises(DataError):
        similar(embedding, label)


def test_similar_refuses_an_empty_list(embedding: LabelEmbedding) -> None:
    with pytest.raises(ConfigError, match="top"):
        similar(embedding, "cat", top=0)


def test_view_is_the_mean_of_the_soft_labels_over_finished_seeds(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=soft([0.6, 0.4], [0.2, 0.8]), names=["a", "b"])
    write_run("label_embedding", 1, test=[1.0], logits=soft([0.8, 0.2], [0.4, 0.6]), names=["a", "b"])
    write_run("label_embedding", 2, test=[1.0], logits=soft([0.5, 0.5], [0.5, 0.5]), names=["a", "b"], finished=False)
    (view,), warnings = label_views(groups_of(runs))
    assert view.soft_labels == pytest.approx(np.array([[0.7, 0.3], [0.3, 0.7]]))
    assert view.seeds == 2
    assert view.source == "mnist-mlp, label embedding, mean of 2 seeds"
    assert warnings == []


def test_chosen_labels_keep_their_order_and_their_probabilities(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    (view,), _ = label_views(groups_of(runs), ["truck", "cat"])
    assert view.names == ["truck", "cat"]
    assert view.soft_labels == pytest.approx(np.array([[0.6, 0.02], [0.04, 0.6]]), abs=1e-6)  # not rescaled
    assert [name for name, _ in view.neighbors[1]] == ["dog", "car", "truck"]  # over all labels
    assert view.source.endswith("2 of 4 labels")


def test_unknown_chosen_labels_are_listed(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    with pytest.raises(DataError, match=r"'trucks', 'xyz'\. Close to 'trucks': truck"):
        label_views(groups_of(runs), ["trucks", "cat", "xyz"])
    with pytest.raises(DataError, match="two names or more"):
        label_views(groups_of(runs), ["cat"])


def test_clusters_join_what_is_alike(write_run: WriteRun, runs: Path) -> None:
    order = [0, 2, 1, 3]  # cat car dog truck
    rows = np.array(ANIMAL_ROWS)[np.ix_(order, order)].tolist()
    write_run("label_embedding", 0, test=[1.0], logits=soft(*rows), names=[ANIMALS[i] for i in order])
    (view,), _ = label_views(groups_of(runs))
    clustered = [view.names[i] for i in view.order("cluster")]
    assert {frozenset(clustered[:2]), frozenset(clustered[2:])} == {
        frozenset(["cat", "dog"]),
        frozenset(["car", "truck"]),
    }
    assert [view.names[i] for i in view.order("given")] == ["cat", "car", "dog", "truck"]
    assert [view.names[i] for i in nearest_labels(view)] == ["dog", "truck", "cat", "car"]
    spread = np.linalg.norm(view.coordinates[:, None] - view.coordinates[None], axis=2)
    assert spread[0, 2] < spread[0, 1]
    assert spread[1, 3] < spread[1, 2]


def test_pairs_are_named_only_where_entries_differ(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    level = [[0.7 if i == j else 0.1 + 0.001 * (i + j) for j in range(4)] for i in range(4)]
    write_run("label_embedding", 0, test=[1.0], task="level", logits=soft(*level), names=ANIMALS)
    views, _ = label_views(groups_of(runs))
    level_view, view = sorted(views, key=lambda view: view.experiment)
    assert [pair[:2] for pair in top_pairs(view)] == [("cat", "dog"), ("car", "truck")]
    assert top_pairs(level_view) == []


def test_distance_by_hand() -> None:
    apart = label_distances(np.array([[0.9, 0.1], [0.3, 0.7]]))
    assert apart == pytest.approx(np.array([[0.0, -np.log(0.2)], [-np.log(0.2), 0.0]]))
    assert np.isfinite(label_distances(np.eye(3))).all()


@pytest.mark.parametrize("size", [2, 3])
def test_few_and_one_hot_labels_have_a_view(write_run: WriteRun, runs: Path, size: int) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=1000 * torch.eye(size))
    (view,), _ = label_views(groups_of(runs))
    assert view.names == [str(i) for i in range(size)]
    assert np.isfinite(view.coordinates).all()


@pytest.mark.parametrize("size", [1, MAX_LABELS + 1])
def test_too_few_or_too_many_labels_are_told(write_run: WriteRun, runs: Path, size: int) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=torch.eye(size))
    views, (warning,) = label_views(groups_of(runs))
    assert views == []
    assert "cannot be displayed" in warning


def test_seeds_with_other_names_are_left_out(write_run: WriteRun, runs: Path) -> None:
    write_run("label_embedding", 0, test=[1.0], logits=torch.eye(2), names=["a", "b"])
    write_run("label_embedding", 1, test=[1.0], logits=torch.eye(2), names=["b", "a"])
    (view,), (warning,) = label_views(groups_of(runs))
    assert view.seeds == 1
    assert "only 1 of 2" in warning
