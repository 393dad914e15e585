"""Time and gradient errors of all peers in one run; memory of each in a process of its own."""

import sys
from dataclasses import dataclass, replace

import torch

from benchmarks.large_vocabulary.peers import Peer, cross_entropy, label_embedding, peers, product
from benchmarks.large_vocabulary.workloads import Problem, Workload
from benchmarks.measure import clock, interleaved
from benchmarks.memory import in_fresh_process, peak_bytes


@dataclass(frozen=True)
class Run:
    """How to measure: on which device, how many rounds, and what to leave out."""

    device: str
    rounds: int
    quick: bool
    without: frozenset[str] = frozenset()

    @property
    def peers(self) -> dict[str, Peer]:
        """Return the programs of this run."""
        return {name: peer for name, peer in peers(self.device, self.quick).items() if name not in self.without}


TIMES = ("(N, V, D)", "program", "median ms", "20 %", "80 %", "x eager", "x limit", "worst error", "rounds", "GFLOP/s")
MEMORY = ("(N, V, D)", "program", "extra MiB", "of eager")
Line = tuple[str, ...]


def times(workload: Workload, run: Run) -> list[Line]:
    """Time all peers of a workload in turn and compare their gradients with float64; what stands under TIMES.

    A single thread's time is counted in seconds of the processor: what else the machine does then matters little.
    """
    problem = Problem.of(workload, run.device)
    calls = {name: peer.make(problem) for name, peer in run.peers.items()}
    calls |= {f"product {half}": product(problem, half) for half in (False, True)}
    interleaved(calls, repeats=1, warmup=1 if run.quick else 0)
    print(f"{workload}: warm, measuring {run.rounds} rounds", file=sys.stderr, flush=True)
    timings = interleaved(calls, run.rounds, warmup=0, clock=clock())
    print(f"{workload}: measured", file=sys.stderr, flush=True)
    one, distinct = 2 * workload.rows * workload.labels * workload.width, problem.distinct
    rates = {half: one / timings[f"product {half}"].median for half in (False, True)}
    print(
        f"{workload}: {distinct} distinct labels, fp32 {rates[False] / 1e9:.0f}, bf16 {rates[True] / 1e9:.0f} GFLOP/s"
    )
    errors = worst_errors(workload, run)
    lines = []
    for name, peer in run.peers.items():
        timing, limit = timings[name], workload.operations(distinct, peer.plain) / rates[peer.half]
        lines.append(
            (
                str(workload),
                name,
                *(f"{1e3 * value:.0f}" for value in (timing.median, *timing.spread)),
                f"{timings['eager'].over(timing):.2f}",
                f"{timing.median / limit:.2f}",
                f"{errors[name]:.0e}",
                str(len(timing.samples)),
                f"{rates[peer.half] / 1e9:.0f}",
            )
        )
    return lines


def worst_errors(workload: Workload, run: Run) -> dict[str, float]:
    """Return the largest error of a gradient against float64 eager, relative to its largest entry, on 64 rows."""
    few = replace(workload, rows=64)
    exact, problem = Problem.of(few, run.device, torch.float64), Problem.of(few, run.device)
    errors = {}
    for plain, step in ((True, cross_entropy), (False, label_embedding)):
        step(exact, "eager", half=False)
        for name, peer in run.peers.items():
            if peer.plain == plain:
                peer.make(problem)()
                pairs = zip(exact.gradients, problem.gradients, strict=True)
                errors[name] = max(
                    float((mine.double() - true).abs().max() / true.abs().max().clamp(min=1e-30))
                    for true, mine in pairs
                    if true is not None and mine is not None
                )
    return errors


def memory(workload: Workload, run: Run) -> list[Line]:
    """Measure the extra memory of each peer; what stands under MEMORY."""
    extra = {name: in_fresh_process(extra_bytes, workload, name, run.device, run.quick) for name in run.peers}
    return [
        (str(workload), name, f"{size / 2**20:.0f}", f"1/{extra['eager'] / max(size, 1):.1f}")
        for name, size in extra.items()
    ]


def extra_bytes(workload: Workload, name: str, device: str, quick: bool) -> int:
    """Return the peak of one step above what stood before, less the parameters' gradients. For a fresh process."""
    problem = Problem.of(workload, device)
    peer = peers(device, quick)[name]
    peer.make(Problem.of(Workload(64, 1000, workload.width), device))()  # wakes the libraries, which keep buffers
    step = peer.make(problem)
    peak = peak_bytes(step)
    return peak - sum(p.grad.numel() * p.grad.element_size() for p in problem.parameters if p.grad is not None)
