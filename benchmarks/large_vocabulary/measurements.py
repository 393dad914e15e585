"""Time and gradient errors of all programs in one run; memory of each in its own process."""

import sys
from dataclasses import dataclass, replace

import torch

from benchmarks.large_vocabulary.programs import Program, cross_entropy, label_embedding, product, programs
from benchmarks.large_vocabulary.workloads import Problem, Workload
from benchmarks.measure import clock, time_interleaved
from benchmarks.memory import in_fresh_process, peak_bytes


@dataclass(frozen=True)
class Run:
    """Device, number of rounds and programs to skip."""

    device: str
    rounds: int
    quick: bool
    without: frozenset[str] = frozenset()

    @property
    def programs(self) -> dict[str, Program]:
        """Programs of this run."""
        return {
            name: program for name, program in programs(self.device, self.quick).items() if name not in self.without
        }


TIMES = ("(N, V, D)", "program", "median ms", "20 %", "80 %", "x eager", "x limit", "worst error", "rounds", "GFLOP/s")
MEMORY = ("(N, V, D)", "program", "extra MiB", "of eager")
Line = tuple[str, ...]


def times(workload: Workload, run: Run) -> list[Line]:
    """Time all programs on a workload and compare their gradients with float64; columns as in ``TIMES``."""
    problem = Problem.of(workload, run.device)
    calls = {name: program.make(problem) for name, program in run.programs.items()}
    calls |= {f"product {bf16}": product(problem, bf16) for bf16 in (False, True)}
    time_interleaved(calls, repeats=1, warmup=1 if run.quick else 0)
    print(f"{workload}: warm, measuring {run.rounds} rounds", file=sys.stderr, flush=True)
    timings = time_interleaved(calls, run.rounds, warmup=0, clock=clock())
    print(f"{workload}: measured", file=sys.stderr, flush=True)
    one, distinct = 2 * workload.rows * workload.labels * workload.width, problem.distinct
    rates = {bf16: one / timings[f"product {bf16}"].median for bf16 in (False, True)}
    print(
        f"{workload}: {distinct} distinct labels, fp32 {rates[False] / 1e9:.0f}, bf16 {rates[True] / 1e9:.0f} GFLOP/s"
    )
    errors = worst_errors(workload, run)
    lines = []
    for name, program in run.programs.items():
        timing, limit = timings[name], workload.operations(distinct, program.plain) / rates[program.bf16]
        lines.append(
            (
                str(workload),
                name,
                *(f"{1e3 * value:.0f}" for value in (timing.median, *timing.spread)),
                f"{timings['eager'].over(timing):.2f}",
                f"{timing.median / limit:.2f}",
                f"{errors[name]:.0e}",
                str(len(timing.samples)),
                f"{rates[program.bf16] / 1e9:.0f}",
            )
        )
    return lines


def worst_errors(workload: Workload, run: Run) -> dict[str, float]:
    """Return the largest gradient error compared with float64 eager, relative to the largest entry, on 64 rows."""
    few = replace(workload, rows=64)
    exact, problem = Problem.of(few, run.device, torch.float64), Problem.of(few, run.device)
    errors = {}
    for plain, step in ((True, cross_entropy), (False, label_embedding)):
        step(exact, "eager", bf16=False)
        for name, program in run.programs.items():
            if program.plain == plain:
                program.make(problem)()
                pairs = zip(exact.gradients, problem.gradients, strict=True)
                errors[name] = max(
                    float((mine.double() - true).abs().max() / true.abs().max().clamp(min=1e-30))
                    for true, mine in pairs
                    if true is not None and mine is not None
                )
    return errors


def memory(workload: Workload, run: Run) -> list[Line]:
    """Measure the extra memory of each program; columns as in ``MEMORY``."""
    extra = {name: in_fresh_process(extra_bytes, workload, name, run.device, run.quick) for name in run.programs}
    return [
        (str(workload), name, f"{size / 2**20:.0f}", f"1/{extra['eager'] / max(size, 1):.1f}")
        for name, size in extra.items()
    ]


def extra_bytes(workload: Workload, name: str, device: str, quick: bool) -> int:
    """Return the peak memory of one step minus the parameters' gradients. Call in a new process."""
    problem = Problem.of(workload, device)
    program = programs(device, quick)[name]
    program.make(Problem.of(Workload(64, 1000, workload.width), device))()  # libraries allocate buffers on first use
    step = program.make(problem)
    peak = peak_bytes(step)
    return peak - sum(p.grad.numel() * p.grad.element_size() for p in problem.parameters if p.grad is not None)
