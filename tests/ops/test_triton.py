"""``impl="fused"``: the kernels against the definition, in Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from labelemb import LabelEmbeddingLoss, LinearCrossEntropyLoss, MixedTargets, Objective
from labelemb.errors import ConfigError
from labelemb.functional import TERMS
from labelemb.ops import backends
from labelemb.ops.inputs import HARD_ONLY, ObjectiveInputs
from labelemb.terms.rows import Rows

from .vocabulary import FORMS, GRID_CASES, Case, assert_matches_eager, build, run

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is missing: pip install triton")

HARD_CASES = (
    "odd sizes",
    "dense",
    "one label in all",
    "all rows one label",
    "extreme logits",
    "all ignored",
    "no bias",
)


@needs_triton
@pytest.mark.parametrize("name", [name for name in GRID_CASES if name.split(", ")[0] in HARD_CASES])
def test_matches_eager(name: str) -> None:
    assert_matches_eager(GRID_CASES[name], "fused", torch.float32)


@needs_triton
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dtype", "autocast"), [(torch.float64, None), (torch.float32, torch.bfloat16), (torch.bfloat16, None)]
)
def test_precisions(form: str, dtype: torch.dtype, autocast: torch.dtype | None) -> None:
    assert_matches_eager(Case(objective=FORMS[form]), "fused", dtype, autocast)


@needs_triton
def test_several_blocks_of_columns() -> None:
    assert_matches_eager(Case(n=5, v=5003, u=4, r=3), "fused", torch.float32, chunk_bytes=None)


@needs_triton
def test_a_quarter_of_a_million_labels() -> None:
    assert_matches_eager(
        Case(n=2, v=262_144, u=262_144, r=1, d=1, ignored=()), "fused", torch.float32, chunk_bytes=None
    )


@needs_triton
@settings(max_examples=10)
@given(
    n=st.integers(0, 12),
    v=st.integers(1, 40),
    r=st.none() | st.integers(1, 4),
    u=st.integers(1, 40),
    objective=st.builds(
        Objective,
        tau=st.floats(0.3, 5),
        beta=st.floats(0, 1),
        mix=st.sampled_from(["convex", "sum"]),
        cap=st.sampled_from(["hinge", "absolute"]),
        reduction=st.sampled_from(["mean", "token"]),
        terms=st.frozensets(st.sampled_from(TERMS)),
        soft_temperature=st.sampled_from([1.0, 0.5, 3.0]),
        soft_scale=st.sampled_from([1.0, 4.0]),
    ),
    seed=st.integers(0, 9),
)
def test_matches_eager_on_any_case(**fields: object) -> None:
    assert_matches_eager(Case(**fields), "fused", chunk_bytes=900)  # type: ignore[arg-type]


@needs_triton
def test_agrees_with_chunked_chunk_by_chunk() -> None:
    (fused, gradients), (chunked, others) = (run(Case(), impl, chunk_bytes=3000) for impl in ("fused", "chunked"))
    assert torch.allclose(fused.loss, chunked.loss, rtol=1e-12)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], rtol=1e-10, atol=1e-12), name  # type: ignore[arg-type]


@needs_triton
@pytest.mark.parametrize("form", FORMS)
def test_a_share_of_the_rows_for_the_embedding(form: str) -> None:
    assert_matches_eager(Case(objective=FORMS[form], embedding_rows=0.4), "fused", torch.float32)


@needs_triton
def test_cross_entropy() -> None:
    built = build(Case(n=10), "eager")
    fused = LinearCrossEntropyLoss(impl="fused")(built.hidden, built.head, built.targets)
    assert torch.allclose(fused.loss, LinearCrossEntropyLoss()(built.hidden, built.head, built.targets).loss)


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to run on")
def test_refuses_a_cpu_outside_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ConfigError, match="CUDA"):
        run(Case(), "fused")


def test_refuses_to_be_made_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_triton", lambda: False)
    with pytest.raises(ConfigError, match="pip install triton"):
        LabelEmbeddingLoss(4, 5, impl="fused")


def test_auto_chooses_by_labels_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = backends.EAGER_LABELS, backends.EAGER_LABELS + 1
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(backends, "has_triton", lambda: False)
    assert backends.fastest(few, gpu) == "eager"
    assert backends.fastest(many, cpu) == backends.fastest(many, gpu) == "chunked"
    monkeypatch.setattr(backends, "has_triton", lambda: True)
    assert backends.fastest(many, cpu) == "chunked"
    assert backends.fastest(many, gpu) == "fused"
    assert backends.fastest(many, gpu, decays=True) == "chunked"


def test_auto_is_eager_for_heads_and_targets_that_have_no_chunked_form() -> None:
    class Cosine(nn.Linear):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return super().forward(hidden / hidden.norm(dim=-1, keepdim=True))

    from labelemb.ops.chunked.driver import Chunked

    many = backends.EAGER_LABELS + 1
    hidden, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    rows = Rows.flatten(hidden, labels, -100)
    mixed = Rows.flatten(hidden, MixedTargets(labels, labels, torch.ones(2)), -100)
    head = nn.Linear(3, many)
    assert backends.select_backend("auto", ObjectiveInputs(rows, head, HARD_ONLY), 5) == Chunked(chunk_bytes=5)
    assert backends.select_backend("auto", ObjectiveInputs(rows, Cosine(3, many), HARD_ONLY), None) is None
    assert backends.select_backend("auto", ObjectiveInputs(mixed, head, HARD_ONLY), None) is None


def test_refuses_weights_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_triton", lambda: True)
    with pytest.raises(
        ConfigError, match="impl: expected eager, chunked or auto for a soft term that decays, got 'fus"
    ):
        LabelEmbeddingLoss(4, 5, objective=Objective(soft_end=9), impl="fused")
    LabelEmbeddingLoss(4, 5, objective=Objective(), impl="fused")


COMPILE = """
import inspect, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from labelemb.ops.triton import kernels
POINTERS = {"labels": "*i64", "groups": "*i64", "argmaxes": "*i64", "starts": "*i64", "chosen": "*i32", "V": "i32"}
POINTERS |= {"z": "*bf16", "e": "*bf16"}
NUMBERS = {"WIDE": tl.float32, "BLOCK": 4096, "HARD": 0.5, "SOFT": 0.5, "INVERSE_TAU": 0.5}
for name, kernel in vars(kernels).items():
    if name.endswith("_kernel"):
        names = kernel.arg_names
        constants = {n: NUMBERS.get(n, True) for n in names if n.isupper() and n != "V"}
        types = {n: "constexpr" if n in constants else POINTERS.get(n, "*fp32") for n in names}
        source = ASTSource(kernel, types, {(names.index(n),): value for n, value in constants.items()})
        print(name, len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]))
"""


@needs_triton
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("_kernel") == 5
