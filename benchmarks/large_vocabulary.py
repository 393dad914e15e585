"""The loss of a large vocabulary, forward and backward: eager, chunked, fused, and plain cross entropy beside them.

    python -m benchmarks.large_vocabulary            the table of docs/large-vocabulary.md
    python -m benchmarks.large_vocabulary --quick    one small workload, half a minute

N rows, V labels, D hidden size = R rank; labels are drawn with probability 1 / rank. The limit is the time that the
matrix products alone take at the rate measured in the same run: 10NVD + 6UVR + 4UVD operations with U distinct labels
(6NVD for plain cross entropy). Extra memory is the peak above weights, less the gradients of the parameters.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import Timing, clock, interleaved, machine
from benchmarks.memory import in_fresh_process, peak_bytes
from labelemb import CompressedLabelEmbedding, CrossEntropyLoss, LabelEmbeddingLoss
from labelemb.losses.implementations import Implementation, has_triton

RESULTS = Path(__file__).parent / "results" / "large_vocabulary.csv"


@dataclass(frozen=True)
class Workload:
    """N rows, V labels, D hidden size and rank; weights "random", or "trained": heads that favour the label."""

    rows: int
    labels: int
    width: int = 512
    weights: str = "random"

    def __str__(self) -> str:
        return f"({self.rows}, {self.labels}, {self.width}) {self.weights}"


QUICK = [Workload(256, 4000, 128)]
CPU = [Workload(512, 16_000), Workload(1024, 16_000), Workload(1024, 16_000, weights="trained"), Workload(2048, 32_000)]
GPU = [Workload(4096, 50_000), Workload(4096, 50_000, weights="trained")]


@dataclass(frozen=True)
class Problem:
    """Tensors of a workload. The same for every peer."""

    hidden: Tensor
    targets: Tensor
    head: nn.Linear
    loss: LabelEmbeddingLoss

    @classmethod
    def of(cls, workload: Workload, device: str, dtype: torch.dtype = torch.float32) -> "Problem":
        """Draw labels from 1 / rank and, for trained weights, heads that know the prototype of each label."""
        torch.manual_seed(0)
        rows, labels, width = workload.rows, workload.labels, workload.width
        targets = torch.multinomial(1 / torch.arange(1, labels + 1), rows, replacement=True)
        head = nn.Linear(width, labels)
        loss = LabelEmbeddingLoss(width, labels, CompressedLabelEmbedding(labels, width), value_checks=False)
        hidden = torch.randn(rows, width)
        if workload.weights == "trained":
            prototypes = torch.randn(labels, width)
            hidden = prototypes[targets] + 2 * hidden
            with torch.no_grad():
                for layer in (head, loss.auxiliary):
                    layer.weight.add_(prototypes, alpha=12 / width)
        hidden, targets = hidden.to(device, dtype).requires_grad_(), targets.to(device)
        return cls(hidden, targets, head.to(device, dtype), loss.to(device, dtype))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return the model's and the loss's."""
        return [*self.head.parameters(), *self.loss.parameters()]

    def forget(self) -> None:
        """Drop the gradients."""
        for tensor in (self.hidden, *self.parameters):
            tensor.grad = None

    def label_embedding(self, impl: Implementation, half: bool = False) -> None:
        """Take one step of the label-embedding loss."""
        self.forget()
        self.loss.impl = impl
        with torch.autocast(self.hidden.device.type, torch.bfloat16, enabled=half):
            out = self.loss(self.hidden, self.head, self.targets)
        out.total.backward()

    def compiled(self, half: bool = False) -> Callable[[], None]:
        """Return one step of the eager form through torch.compile."""
        self.loss.impl = "eager"
        forward = torch.compile(lambda: self.loss(self.hidden, self.head, self.targets).total, dynamic=False)

        def step() -> None:
            self.forget()
            self.loss.impl = "eager"
            with torch.autocast(self.hidden.device.type, torch.bfloat16, enabled=half):
                total = forward()
            torch.autograd.backward(total)

        return step

    def plain(self, impl: Implementation, half: bool = False) -> None:
        """Take one step of our one-hot cross entropy."""
        self.forget()
        with torch.autocast(self.hidden.device.type, torch.bfloat16, enabled=half):
            out = CrossEntropyLoss(value_checks=False, impl=impl)(self.hidden, self.head, self.targets)
        out.total.backward()

    def linear_cross_entropy(self, half: bool = False) -> None:
        """Take one step of torch's chunked cross entropy."""
        self.forget()
        with torch.autocast(self.hidden.device.type, torch.bfloat16, enabled=half):
            total = F.linear_cross_entropy(
                self.hidden,
                self.head.weight,
                self.targets,
                linear_bias=self.head.bias,
                options=nn.LinearCrossEntropyOptions(),
            )
        torch.autograd.backward(total)

    def product(self, half: bool) -> Callable[[], object]:
        """The matrix product whose rate is the limit."""
        dtype = torch.bfloat16 if half else torch.float32
        a, b = self.hidden.detach().to(dtype), self.head.weight.detach().to(dtype).t()
        out = torch.empty(len(a), b.shape[1], dtype=dtype, device=a.device)
        return lambda: torch.mm(a, b, out=out)


@dataclass(frozen=True)
class Peer:
    """A program to time. ``plain``: cross entropy alone. ``half``: bf16 matrix products, fp32 softmax."""

    make: Callable[[Problem], Callable[[], object]]
    plain: bool = False
    half: bool = False


def peers(device: str, quick: bool) -> dict[str, Peer]:
    """Return what this machine can run. The first is the reference of the ratios."""
    chosen = {"eager": Peer(lambda p: partial(p.label_embedding, "eager"))}
    chosen["chunked"] = Peer(lambda p: partial(p.label_embedding, "chunked"))
    chosen["eager, bf16"] = Peer(lambda p: partial(p.label_embedding, "eager", True), half=True)
    chosen["chunked, bf16"] = Peer(lambda p: partial(p.label_embedding, "chunked", True), half=True)
    if not quick:
        chosen["torch.compile(eager)"] = Peer(lambda p: p.compiled())
    chosen["plain, eager"] = Peer(lambda p: partial(p.plain, "eager"), plain=True)
    chosen["plain, F.linear_cross_entropy"] = Peer(lambda p: p.linear_cross_entropy, plain=True)
    chosen["plain, chunked"] = Peer(lambda p: partial(p.plain, "chunked"), plain=True)
    if device == "cuda":
        chosen["torch.compile(eager), bf16"] = Peer(lambda p: p.compiled(True), half=True)
        chosen["plain, F.linear_cross_entropy, bf16"] = Peer(
            lambda p: partial(p.linear_cross_entropy, True), plain=True, half=True
        )
        if has_triton():
            chosen["fused, bf16"] = Peer(lambda p: partial(p.label_embedding, "fused", True), half=True)
            chosen["plain, fused, bf16"] = Peer(lambda p: partial(p.plain, "fused", True), plain=True, half=True)
        chosen |= installed_rivals()
    return chosen


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


def operations(workload: Workload, distinct: int, plain: bool) -> int:
    """Return the floating point operations of the matrix products."""
    n, u, v, d = workload.rows, distinct, workload.labels, workload.width
    return 6 * n * v * d if plain else 10 * n * v * d + (6 + 4) * u * v * d


def extra_bytes(workload: Workload, name: str, device: str, quick: bool) -> int:
    """Return the peak of one step above what stood before, less the parameters' gradients. For a fresh process."""
    problem = Problem.of(workload, device)
    step = peers(device, quick)[name].make(problem)
    peers(device, quick)[name].make(Problem.of(Workload(64, 1000, workload.width), device))()  # wakes the libraries
    problem.forget()
    peak = peak_bytes(step)
    return peak - sum(p.grad.numel() * p.grad.element_size() for p in problem.parameters if p.grad is not None)


def worst_error(workload: Workload, name: str, device: str, quick: bool) -> float:
    """Return the largest error of a gradient against float64 eager, relative to its largest entry, on 64 rows."""
    few = replace(workload, rows=64)
    exact, problem = Problem.of(few, device, torch.float64), Problem.of(few, device)
    peer = peers(device, quick)[name]
    exact.plain("eager") if peer.plain else exact.label_embedding("eager")
    peer.make(problem)()
    pairs = [(p.hidden, *p.parameters) for p in (exact, problem)]
    errors = [
        float((mine.grad.double() - true.grad).abs().max() / true.grad.abs().max().clamp(min=1e-30))
        for true, mine in zip(*pairs, strict=True)
        if true.grad is not None and mine.grad is not None
    ]
    return max(errors)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    workload: Workload
    peer: str
    timing: Timing
    eager: Timing
    limit: float
    extra: int
    error: float

    def cells(self) -> list[str]:
        """Return what stands under HEADER."""
        low, high = self.timing.spread
        return [
            str(self.workload),
            self.peer,
            *(f"{1e3 * value:.0f}" for value in (self.timing.median, low, high)),
            f"{self.eager.over(self.timing):.2f}",
            f"{self.timing.median / self.limit:.2f}",
            f"{self.extra / 2**20:.0f}",
            f"{self.error:.0e}",
            str(len(self.timing.samples)),
        ]


HEADER = [
    "(N, V, D)",
    "program",
    "median ms",
    "20 %",
    "80 %",
    "x eager",
    "x limit",
    "extra MiB",
    "worst error",
    "rounds",
]


@dataclass(frozen=True)
class Run:
    """How to measure: on which device, how many rounds, and what to leave out."""

    device: str
    rounds: int
    quick: bool
    without: frozenset[str] = frozenset()


def measure(workload: Workload, run: Run) -> list[Row]:
    """Time all peers of a workload in turn; memory and errors come from processes of their own.

    A single thread's time is counted in seconds of the processor: what else the machine does then matters little.
    """
    device, rounds, quick = run.device, run.rounds, run.quick
    problem = Problem.of(workload, device)
    chosen = {name: peer for name, peer in peers(device, quick).items() if name not in run.without}
    products = {f"product {half}": problem.product(half) for half in (False, True)}
    calls = {**{name: peer.make(problem) for name, peer in chosen.items()}, **products}
    interleaved(calls, repeats=1, warmup=1 if quick else 0)
    print(f"{workload}: warm, measuring {rounds} rounds", file=sys.stderr, flush=True)
    timings = interleaved(calls, rounds, warmup=0, clock=clock())
    print(f"{workload}: measured", file=sys.stderr, flush=True)
    one = 2 * workload.rows * workload.labels * workload.width
    rates = {half: one / timings[f"product {half}"].median for half in (False, True)}
    distinct = len(set(problem.targets.tolist()))
    print(
        f"{workload}: {distinct} distinct labels, fp32 {rates[False] / 1e9:.0f}, bf16 {rates[True] / 1e9:.0f} GFLOP/s"
    )
    return [
        Row(
            workload=workload,
            peer=name,
            timing=timings[name],
            eager=timings["eager"],
            limit=operations(workload, distinct, peer.plain) / rates[peer.half],
            extra=in_fresh_process(extra_bytes, workload, name, device, quick),
            error=in_fresh_process(worst_error, workload, name, device, quick),
        )
        for name, peer in chosen.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="one small workload; writes no file")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of all peers that count (default 7; 30 quick)")
    parser.add_argument("--rows", type=int, nargs="*", help="only the workloads with so many rows")
    parser.add_argument("--threads", type=int, help="threads of torch; with 1 the processor's seconds are counted")
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    parser.add_argument("--keep", action="store_true", help="add to the file of results instead of replacing it")
    chosen = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounds = chosen.rounds or (30 if chosen.quick else 7)
    workloads = QUICK if chosen.quick else GPU if device == "cuda" else CPU
    workloads = [w for w in workloads if not chosen.rows or w.rows in chosen.rows]
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    run = Run(device, rounds, chosen.quick, frozenset(chosen.without))
    rows = [row for workload in workloads for row in measure(workload, run)]
    show(rows)
    if not chosen.quick:
        write(rows, chosen.keep)


def show(rows: list[Row]) -> None:
    console = Console()
    console.print(machine(), highlight=False, soft_wrap=True)
    for workload in dict.fromkeys(row.workload for row in rows):
        table = Table(*HEADER[1:], box=None, title=str(workload), title_justify="left")
        for row in rows:
            if row.workload == workload:
                table.add_row(*row.cells()[1:])
        console.print(table)


def write(rows: list[Row], keep: bool) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a" if keep else "w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(row.cells() for row in rows)


if __name__ == "__main__":
    main()
