"""Programs that compute a workload: each takes one step, forward and backward, from a ``Problem``."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.large_vocabulary.workloads import Problem
from labelemb import LinearCrossEntropyLoss
from labelemb.ops.backends import Implementation, has_triton
from labelemb.ops.chunked.native_kernels import NativeRowKernels

Step = Callable[[], object]


@dataclass(frozen=True)
class Program:
    """A program to time. ``plain``: cross entropy only. ``bf16``: bf16 matrix products, fp32 softmax."""

    make: Callable[[Problem], Step]
    plain: bool = False
    bf16: bool = False


def programs(device: str, quick: bool) -> dict[str, Program]:
    """Return the programs that this machine can run. The first is the reference of the ratios."""
    args = {"eager": library("eager"), "chunked": library("chunked")}
    args["chunked, filter_eps 2^-12"] = library("chunked", filter_eps=2**-12)
    args |= {"eager, bf16": library("eager", bf16=True), "chunked, bf16": library("chunked", bf16=True)}
    if device == "cpu":
        args["chunked, PyTorch rows"] = Program(partial(partial, pytorch_rows))
        args["chunked, PyTorch rows, bf16"] = Program(partial(partial, pytorch_rows, bf16=True), bf16=True)
    if not quick:
        args["torch.compile(eager)"] = Program(compiled)
    args["plain, eager"] = library("eager", plain=True)
    args["plain, F.linear_cross_entropy"] = Program(partial(partial, linear_cross_entropy), plain=True)
    args["plain, chunked"] = library("chunked", plain=True)
    args["plain, eager, bf16"] = library("eager", plain=True, bf16=True)
    args["plain, chunked, bf16"] = library("chunked", plain=True, bf16=True)
    if device == "cuda":
        args["torch.compile(eager), bf16"] = Program(partial(compiled, bf16=True), bf16=True)
        args["plain, F.linear_cross_entropy, bf16"] = Program(
            partial(partial, linear_cross_entropy, bf16=True), plain=True, bf16=True
        )
        if has_triton():
            args["fused, bf16"] = library("fused", bf16=True)
            args["plain, fused, bf16"] = library("fused", plain=True, bf16=True)
        args |= other_libraries()
    return args


def library(impl: Implementation, plain: bool = False, bf16: bool = False, filter_eps: float | None = None) -> Program:
    """Return a loss of this library as a program."""
    if plain:
        return Program(lambda problem: partial(cross_entropy, problem, impl, bf16), plain, bf16)
    return Program(lambda problem: partial(label_embedding, problem, impl, bf16, filter_eps), plain, bf16)


def label_embedding(problem: Problem, impl: Implementation, bf16: bool, filter_eps: float | None = None) -> None:
    """Take one step of the label-embedding loss."""
    problem.zero_grad()
    problem.loss.impl, problem.loss.filter_eps = impl, filter_eps
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=bf16):
        out = problem.loss(problem.hidden, problem.head, problem.targets)
    out.loss.backward()


def pytorch_rows(problem: Problem, bf16: bool = False) -> None:
    """Take one step of chunked as it is without a C compiler."""
    with patch.object(NativeRowKernels, "can_process", return_value=False):
        label_embedding(problem, "chunked", bf16)


def compiled(problem: Problem, bf16: bool = False) -> Step:
    """Return one step of eager with torch.compile."""
    forward = torch.compile(lambda: problem.loss(problem.hidden, problem.head, problem.targets).loss, dynamic=False)

    def step() -> None:
        problem.zero_grad()
        problem.loss.impl = "eager"
        with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=bf16):
            total = forward()
        torch.autograd.backward(total)

    return step


def cross_entropy(problem: Problem, impl: Implementation, bf16: bool) -> None:
    """Take one step of ``LinearCrossEntropyLoss``."""
    problem.zero_grad()
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=bf16):
        out = LinearCrossEntropyLoss(validate_args=False, impl=impl)(problem.hidden, problem.head, problem.targets)
    out.loss.backward()


def linear_cross_entropy(problem: Problem, bf16: bool = False) -> None:
    """Take one step of ``F.linear_cross_entropy``."""
    problem.zero_grad()
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=bf16):
        total = F.linear_cross_entropy(
            problem.hidden,
            problem.head.weight,
            problem.targets,
            linear_bias=problem.head.bias,
            options=nn.LinearCrossEntropyOptions(),
        )
    torch.autograd.backward(total)


def product(problem: Problem, bf16: bool) -> Step:
    """Return the matrix product whose rate defines the limit."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = problem.hidden.detach().to(dtype), problem.head.weight.detach().to(dtype).t()
    out = torch.empty(len(a), b.shape[1], dtype=dtype, device=a.device)
    return lambda: torch.mm(a, b, out=out)


def other_libraries() -> dict[str, Program]:
    """Return the fused cross entropies of other installed libraries."""
    found: dict[str, Program] = {}
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        liger = LigerFusedLinearCrossEntropyLoss()
        found["plain, liger, bf16"] = Program(lambda p: partial(external_loss, p, liger), plain=True, bf16=True)
    except ImportError:
        pass
    try:
        from cut_cross_entropy import linear_cross_entropy

        def cut(weight: Tensor, hidden: Tensor, targets: Tensor, bias: Tensor) -> Tensor:
            return linear_cross_entropy(hidden, weight, targets, bias=bias)  # type: ignore[no-any-return]

        found["plain, cut-cross-entropy, bf16"] = Program(
            lambda p: partial(external_loss, p, cut), plain=True, bf16=True
        )
    except ImportError:
        pass
    try:
        from quack.linear_cross_entropy import chunked_linear_cross_entropy

        def quack(weight: Tensor, hidden: Tensor, targets: Tensor, bias: Tensor) -> Tensor:
            return chunked_linear_cross_entropy(hidden, weight, targets)  # type: ignore[no-any-return]

        found["plain, quack (no bias), bf16"] = Program(
            lambda p: partial(external_loss, p, quack), plain=True, bf16=True
        )
    except ImportError:
        pass
    return found


def external_loss(problem: Problem, loss: Callable[..., Tensor]) -> None:
    """Take one step in bf16 of a loss called as ``loss(weight, hidden, targets, bias)``."""
    problem.zero_grad()
    weight, bias = (parameter.to(torch.bfloat16) for parameter in (problem.head.weight, problem.head.bias))
    loss(weight, problem.hidden.to(torch.bfloat16), problem.targets, bias).backward()  # type: ignore[no-untyped-call]
