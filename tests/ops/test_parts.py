"""Row work on several threads: the value and gradients of one thread, whatever the others do."""

import os
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelemb.ops.parts import cut_by_label, in_parts
from tests.ops.vocabulary import FORMS, GRID_CASES, Case, assert_matches_eager, build, run
from tests.processes import torch_threads


@pytest.fixture(params=[2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    with torch_threads(request.param):
        yield request.param


@pytest.mark.parametrize("name", GRID_CASES)
def test_matches_eager(name: str, threads: int) -> None:
    assert_matches_eager(GRID_CASES[name], "chunked")


@pytest.mark.parametrize("form", FORMS)
def test_low_precision_and_a_share_of_the_rows(form: str, threads: int) -> None:
    case = Case(n=60, d=16, objective=FORMS[form], embedding_rows=0.5)
    assert_matches_eager(case, "chunked", torch.float32, torch.bfloat16)


def test_two_runs_have_the_same_bits(threads: int) -> None:
    case = Case(n=300, v=211, u=90)
    first, second = (run(case, "chunked", torch.float32, chunk_bytes=100_000) for _ in range(2))
    assert torch.equal(first[0].loss, second[0].loss)
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])  # type: ignore[arg-type]


def test_inference_mode(threads: int) -> None:
    built, other = build(Case(), "chunked"), build(Case(), "chunked")
    with torch.inference_mode():
        value = built.loss(built.hidden, built.head, built.targets).loss
    torch.testing.assert_close(value.clone(), other.loss(other.hidden, other.head, other.targets).loss.detach())


def test_each_part_runs_alone_and_the_caller_keeps_its_threads(threads: int) -> None:
    parts = [slice(0, 1)] * threads
    assert in_parts(lambda number, part: torch.get_num_threads(), parts) == [1] * threads
    assert in_parts(lambda number, part: torch.is_grad_enabled(), parts) == [False] * threads
    assert torch.get_num_threads() == threads


def test_an_error_in_a_part_reaches_the_caller(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        in_parts(lambda number, part: 1 // (number - 1), [slice(0, 1)] * threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_fork_has_threads_of_its_own(threads: int) -> None:
    in_parts(lambda number, part: number, [slice(0, 1)] * threads)
    child = os.fork()
    if child == 0:
        os._exit(0 if in_parts(lambda number, part: number, [slice(0, 1)] * threads) == list(range(threads)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@given(counts=st.lists(st.integers(1, 20), max_size=30), count=st.integers(1, 6))
@settings(max_examples=100)
def test_parts_cover_the_rows_and_split_no_label(counts: list[int], count: int) -> None:
    group = [label for label, size in enumerate(counts) for _ in range(size)]
    parts = cut_by_label(group, count)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(len(group)))
    assert len(parts) <= count
    assert all(part.start < part.stop for part in parts)
    assert all(group[one.stop - 1] < group[other.start] for one, other in pairwise(parts))
