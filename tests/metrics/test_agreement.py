"""Agreement with people: scipy's values, laws of permutation and monotone change, made-up votes only."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from labelemb.errors import DataError, ShapeError
from labelemb.metrics.agreement import (
    agreement,
    group_auc,
    mantel_p,
    nearest_in_group,
    off_diagonal,
    row_correlations,
    spearman,
    top_agreement,
)
from labelemb.metrics.human import read_groups, read_similarity

Matrix = NDArray[np.float64]
NAMES = ["cat", "dog", "car", "truck"]


def matrix(size: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).random((size, size))


def test_the_correlation_is_over_all_directed_pairs() -> None:
    one, other = matrix(6, 0), matrix(6, 1)
    pairs = [(y, k) for y in range(6) for k in range(6) if y != k]
    expected = spearmanr([one[pair] for pair in pairs], [other[pair] for pair in pairs])
    assert len(pairs) == 6 * 5
    assert spearman(one, other) == pytest.approx(expected.statistic)
    by_row = [spearmanr(np.delete(one[y], y), np.delete(other[y], y)).statistic for y in range(6)]
    assert row_correlations(one, other) == pytest.approx(by_row)


def test_only_the_order_counts_and_not_the_diagonal() -> None:
    one, other = matrix(7, 2), matrix(7, 3)
    changed = np.exp(5 * one)
    np.fill_diagonal(changed, np.nan)
    before, after = agreement(one, other, permutations=99), agreement(changed, other, permutations=99)
    assert after == before


def test_naming_the_labels_in_another_order_changes_nothing() -> None:
    one, other, order = matrix(7, 4), matrix(7, 5), np.random.default_rng(0).permutation(7)
    groups = ["a", "a", "b", "b", "b", "c", "c"]
    before = agreement(one, other, groups, permutations=99)
    moved = np.ix_(order, order)
    after = agreement(one[moved], other[moved], [groups[place] for place in order], permutations=99)
    assert after.spearman == pytest.approx(before.spearman)
    assert after.row_spearman == pytest.approx(before.row_spearman)
    assert (after.top, after.auc, after.nearest_in_group) == (before.top, before.auc, before.nearest_in_group)


def test_the_mantel_test_permutes_labels_of_rows_and_columns_together() -> None:
    one, other = matrix(5, 6), matrix(5, 7)
    exact = np.mean([spearman(one, other[np.ix_(p, p)]) >= spearman(one, other) - 1e-9 for p in permutations(range(5))])
    assert mantel_p(one, other, 4000) == pytest.approx(exact, abs=0.03)
    assert mantel_p(one, one, 199) == pytest.approx(1 / 200, abs=0.02)  # by chance the order is the given one


def test_unrelated_similarities_agree_in_at_most_five_percent() -> None:
    found = [mantel_p(matrix(8, 2 * seed + 100), matrix(8, 2 * seed + 101), 999) for seed in range(300)]
    assert np.mean([p <= 0.05 for p in found]) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_top_k_by_hand_and_ties_by_chance() -> None:
    near = np.array([[9, 3, 2, 1], [3, 9, 2, 1], [1, 2, 9, 3], [0, 0, 0, 9]], float)
    human = np.array([[0, 0, 5, 0], [5, 0, 0, 0], [0, 0, 0, 5], [5, 0, 0, 0]], float)
    # The first row's choice is second, those of the next two are first, the last row is level: one of three.
    assert top_agreement(near, human, 1) == pytest.approx((0 + 1 + 1 + 1 / 3) / 4)
    assert top_agreement(near, human, 2) == pytest.approx((1 + 1 + 1 + 2 / 3) / 4)
    assert top_agreement(near, human, 3) == 1


def test_auc_is_mann_whitneys() -> None:
    near, groups = matrix(6, 8).round(1), ["a", "a", "a", "b", "b", "c"]
    same = off_diagonal(np.array([[float(a == b) for b in groups] for a in groups])) > 0
    values = off_diagonal(near)
    expected = mannwhitneyu(values[same], values[~same]).statistic / (same.sum() * (~same).sum())
    assert group_auc(near, groups) == pytest.approx(expected)
    assert nearest_in_group(np.array([[0, 1, 0], [1, 0, 0], [9, 0, 0]], float), ["a", "a", "b"]) == 1


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (np.ones((3, 4)), matrix(3, 0), "square"),
        (matrix(3, 0), matrix(4, 0), "shape of the similarity"),
        (matrix(2, 0), matrix(2, 0), "three labels"),
        (np.ones((3, 3)), matrix(3, 0), "different values"),
        (np.full((3, 3), np.nan), matrix(3, 0), "finite"),
    ],
)
def test_what_cannot_be_compared(one: Matrix, other: Matrix, said: str) -> None:
    with pytest.raises((DataError, ShapeError), match=said):
        agreement(one, other)
    with pytest.raises(DataError, match="one group for each"):
        agreement(matrix(3, 0), matrix(3, 1), ["a"])
    with pytest.raises(DataError, match="some pairs"):
        agreement(matrix(3, 0), matrix(3, 1), ["a", "b", "c"])


def write_csv(path: Path, names: list[str], values: Matrix) -> Path:
    rows = [",".join(["", *names])]
    rows += [",".join([name, *map(repr, map(float, row))]) for name, row in zip(names, values, strict=True)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_table_is_matched_by_name(tmp_path: Path) -> None:
    values = matrix(4, 9)
    path = write_csv(tmp_path / "human.csv", NAMES, values)
    order = [2, 0, 3]
    found = read_similarity(path).select([NAMES[place] for place in order])
    assert found == pytest.approx(values[np.ix_(order, order)])


def test_votes_by_label_are_shares(tmp_path: Path) -> None:
    counts = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 5]])
    np.savez(tmp_path / "votes.npz", counts=counts, classes=np.array(NAMES[:3]))
    found = read_similarity(tmp_path / "votes.npz").select(NAMES[:3])
    assert found == pytest.approx(np.array([[0.8, 0.2, 0], [0.25, 0.75, 0], [0, 0, 1]]))


def test_votes_by_example_count_each_example_once(tmp_path: Path) -> None:
    counts = np.array([[10, 0], [1, 1], [0, 3], [0, 0]])  # the last has no vote
    np.savez(tmp_path / "votes.npz", counts=counts, labels=np.array([0, 0, 1, 1]), classes=np.array(NAMES[:2]))
    assert read_similarity(tmp_path / "votes.npz").select(NAMES[:2]) == pytest.approx(np.array([[0.75, 0.25], [0, 1]]))


def test_groups(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("dog,animal\ncat,animal\ncar,thing\n", encoding="utf-8")
    assert read_groups(tmp_path / "groups.csv", ["cat", "car"]) == ["animal", "thing"]
    np.savez(tmp_path / "groups.npz", classes=np.array(NAMES[:2]), fine_to_coarse=np.array([3, 3]))
    assert read_groups(tmp_path / "groups.npz", ["dog"]) == ["3"]
    (tmp_path / "groups.json").write_text('{"animal": ["cat", "dog"], "thing": ["car"]}', encoding="utf-8")
    assert read_groups(tmp_path / "groups.json", ["car", "dog"]) == ["thing", "animal"]
    with pytest.raises(DataError, match="none for truck"):
        read_groups(tmp_path / "groups.csv", ["truck"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "ends in .csv or .npz"),
        ("a.npz", b"no archive", "npz file"),
        ("a.csv", b"\xff\xfe", "UTF-8"),
        ("a.csv", b"", "a header"),
        ("a.csv", b",cat,dog\ncat,1,2\n", "a row per label"),
        ("a.csv", b",cat,dog\ncat,1\ndog,1,2\n", "2 values in each row"),
        ("a.csv", b",cat,dog\ncat,1,x\ndog,1,2\n", "numbers"),
        ("a.csv", b",cat,cat\ncat,1,2\ncat,1,2\n", "each label once"),
        ("a.csv", b",cat,cow\ncat,1,2\ncow,1,2\n", "none named dog"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_similarity(tmp_path / name).select(["cat", "dog"])
    assert "\n" not in str(caught.value)


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    names = np.array(NAMES[:2])
    wrong: list[tuple[dict[str, object], str]] = [
        ({"counts": np.eye(2)}, "arrays counts and classes"),
        ({"counts": -np.eye(2), "classes": names}, "votes >= 0"),
        ({"counts": np.eye(3), "classes": names}, "votes >= 0"),
        ({"counts": np.ones((5, 2)), "classes": names}, "labels beside"),
        ({"counts": np.ones((2, 2)), "labels": np.array([0, 7]), "classes": names}, r"a label in \[0, 2\)"),
        ({"counts": np.array([["a"]]), "classes": names[:1]}, "votes >= 0"),
        ({"counts": np.array([[object()]]), "classes": names[:1]}, "plain arrays"),
    ]
    for number, (arrays, said) in enumerate(wrong):
        np.savez(tmp_path / f"{number}.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=said):
            read_similarity(tmp_path / f"{number}.npz")
    with pytest.raises(DataError, match="no such file"):
        read_similarity(tmp_path / "none.csv")
