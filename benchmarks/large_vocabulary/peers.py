"""Programs that compute a workload: each takes one step, forward and backward, from a ``Problem``."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.large_vocabulary.workloads import Problem
from labelemb import LinearCrossEntropyLoss
from labelemb.ops.backends import Implementation, has_triton

Step = Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """A program to time. ``plain``: cross entropy alone. ``half``: bf16 matrix products, fp32 softmax."""

    make: Callable[[Problem], Step]
    plain: bool = False
    half: bool = False


def peers(device: str, quick: bool) -> dict[str, Peer]:
    """Return what this machine can run. The first is the reference of the ratios."""
    chosen = {"eager": ours("eager"), "chunked": ours("chunked")}
    chosen |= {"eager, bf16": ours("eager", half=True), "chunked, bf16": ours("chunked", half=True)}
    if not quick:
        chosen["torch.compile(eager)"] = Peer(compiled)
    chosen["plain, eager"] = ours("eager", plain=True)
    chosen["plain, F.linear_cross_entropy"] = Peer(partial(partial, linear_cross_entropy), plain=True)
    chosen["plain, chunked"] = ours("chunked", plain=True)
    chosen["plain, eager, bf16"] = ours("eager", plain=True, half=True)
    chosen["plain, chunked, bf16"] = ours("chunked", plain=True, half=True)
    if device == "cuda":
        chosen["torch.compile(eager), bf16"] = Peer(partial(compiled, half=True), half=True)
        chosen["plain, F.linear_cross_entropy, bf16"] = Peer(
            partial(partial, linear_cross_entropy, half=True), plain=True, half=True
        )
        if has_triton():
            chosen["fused, bf16"] = ours("fused", half=True)
            chosen["plain, fused, bf16"] = ours("fused", plain=True, half=True)
        chosen |= installed_rivals()
    return chosen


def ours(impl: Implementation, plain: bool = False, half: bool = False) -> Peer:
    """Return a loss of this library as a peer."""
    step = cross_entropy if plain else label_embedding
    return Peer(lambda problem: partial(step, problem, impl, half), plain, half)


def label_embedding(problem: Problem, impl: Implementation, half: bool) -> None:
    """Take one step of the label-embedding loss."""
    problem.forget()
    problem.loss.impl = impl
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=half):
        out = problem.loss(problem.hidden, problem.head, problem.targets)
    out.loss.backward()


def compiled(problem: Problem, half: bool = False) -> Step:
    """Return one step of the eager form through torch.compile."""
    forward = torch.compile(lambda: problem.loss(problem.hidden, problem.head, problem.targets).loss, dynamic=False)

    def step() -> None:
        problem.forget()
        problem.loss.impl = "eager"
        with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=half):
            total = forward()
        torch.autograd.backward(total)

    return step


def cross_entropy(problem: Problem, impl: Implementation, half: bool) -> None:
    """Take one step of our one-hot cross entropy."""
    problem.forget()
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=half):
        out = LinearCrossEntropyLoss(validate_args=False, impl=impl)(problem.hidden, problem.head, problem.targets)
    out.loss.backward()


def linear_cross_entropy(problem: Problem, half: bool = False) -> None:
    """Take one step of torch's chunked cross entropy."""
    problem.forget()
    with torch.autocast(problem.hidden.device.type, torch.bfloat16, enabled=half):
        total = F.linear_cross_entropy(
            problem.hidden,
            problem.head.weight,
            problem.targets,
            linear_bias=problem.head.bias,
            options=nn.LinearCrossEntropyOptions(),
        )
    torch.autograd.backward(total)


def product(problem: Problem, half: bool) -> Step:
    """Return the matrix product whose rate is the limit."""
    dtype = torch.bfloat16 if half else torch.float32
    a, b = problem.hidden.detach().to(dtype), problem.head.weight.detach().to(dtype).t()
    out = torch.empty(len(a), b.shape[1], dtype=dtype, device=a.device)
    return lambda: torch.mm(a, b, out=out)


def installed_rivals() -> dict[str, Peer]:
    """Return the fused plain cross entropies of other libraries that are installed here."""
    found: dict[str, Peer] = {}
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

        liger = LigerFusedLinearCrossEntropyLoss()
        found["plain, liger, bf16"] = Peer(lambda p: partial(rival, p, liger), plain=True, half=True)
    except ImportError:
        pass
    try:
        from cut_cross_entropy import linear_cross_entropy

        def cut(weight: Tensor, hidden: Tensor, targets: Tensor, bias: Tensor) -> Tensor:
            return linear_cross_entropy(hidden, weight, targets, bias=bias)  # type: ignore[no-any-return]

        found["plain, cut-cross-entropy, bf16"] = Peer(lambda p: partial(rival, p, cut), plain=True, half=True)
    except ImportError:
        pass
    try:
        from quack.linear_cross_entropy import chunked_linear_cross_entropy

        def quack(weight: Tensor, hidden: Tensor, targets: Tensor, bias: Tensor) -> Tensor:
            return chunked_linear_cross_entropy(hidden, weight, targets)  # type: ignore[no-any-return]

        found["plain, quack (no bias), bf16"] = Peer(lambda p: partial(rival, p, quack), plain=True, half=True)
    except ImportError:
        pass
    return found


def rival(problem: Problem, loss: Callable[..., Tensor]) -> None:
    """Run a loss that takes (weight, hidden, targets, bias) in bf16."""
    problem.forget()
    weight, bias = (parameter.to(torch.bfloat16) for parameter in (problem.head.weight, problem.head.bias))
    loss(weight, problem.hidden.to(torch.bfloat16), problem.targets, bias).backward()  # type: ignore[no-untyped-call]
