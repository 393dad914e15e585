"""Labels split over processes: time, memory and data sent per process, on gloo with one thread each.

python -m benchmarks.label_shards [--processes 1,2,4] [--labels 40000] [--rows 256] [--size 128] [--chunk_mib 32]
    [--rounds 3] [--save label_shards.csv]
"""

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from benchmarks.measure import describe_machine
from benchmarks.memory import peak_bytes
from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, LabelShard, Objective

RESULTS = Path(__file__).parent / "results"
IMPLEMENTATIONS = ("eager", "chunked")
MIB = 2**20


@dataclass(frozen=True)
class Sizes:
    """V labels, N rows, D hidden size, also the rank of the embedding."""

    labels: int
    rows: int
    size: int
    chunk_bytes: int | None = None
    rounds: int = 1


@dataclass
class Measured:
    """One process's share; MiB, and milliseconds of a step."""

    processes: int
    impl: str
    labels: int
    rows: int
    size: int
    weights_mib: float  # head, auxiliary head, codes and decoder
    state_mib: float  # peak of making them, with gradients and Adam's moments
    step_mib: float  # peak of a forward and backward pass beyond that
    matrices: float  # step_mib as a number of rows x local labels matrices
    sent_mib: float  # tensors handed to all-reduce in a step
    collectives: int
    ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", default="1,2,4")
    parser.add_argument("--labels", type=int, default=40_000)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--chunk_mib", type=int, help="memory for the matrices of a chunk (default: the library's)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help=f"write this file of {RESULTS}")
    args = parser.parse_args()
    chunk_bytes = args.chunk_mib and args.chunk_mib * MIB
    sizes, found = Sizes(args.labels, args.rows, args.size, chunk_bytes, args.rounds), []
    names = [field.name for field in fields(Measured)]
    print(",".join(names))
    for processes in map(int, args.processes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            spawn(run, args=(processes, sizes, folder), nprocs=processes)  # type: ignore[no-untyped-call]
            measured = torch.load(f"{folder}/measured.pt", weights_only=True)
        for line in measured:
            print(*line, sep=",", flush=True)
        found += measured
    if args.save:
        with (RESULTS / args.save).open("w", encoding="utf-8", newline="") as file:
            file.write(f"# {describe_machine()}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(found)


def run(rank: int, processes: int, sizes: Sizes, folder: str) -> None:
    """Measure in one process of the group; the first writes what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes)
    measure(Sizes(64, 8, 8), processes)  # libraries allocate on first use
    measured = measure(sizes, processes)
    if rank == 0:
        torch.save([list(astuple(line)) for line in measured], f"{folder}/measured.pt")
    dist.barrier()
    dist.destroy_process_group()


def measure(sizes: Sizes, processes: int) -> list[Measured]:
    """Train the same layers for a few steps with each implementation in turns; return this process's figures."""
    torch.manual_seed(0)
    made: dict[str, Any] = {}
    shard = LabelShard.of(sizes.labels)
    hidden = torch.randn(sizes.rows, sizes.size, requires_grad=True)
    targets = torch.randint(sizes.labels, (sizes.rows,))

    def make() -> None:
        embedding = CompressedLabelEmbedding(sizes.labels, sizes.size, shard=shard)
        loss = LabelEmbeddingLoss(
            sizes.size,
            sizes.labels,
            embedding,
            Objective(soft_temperature=2.0),
            shard=shard,
            chunk_bytes=sizes.chunk_bytes,
        )
        head = nn.Linear(sizes.size, shard.size)
        parameters = [*head.parameters(), *loss.parameters()]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = torch.optim.Adam(parameters, fused=True)
        optimizer.step()  # makes the moments
        made.update(head=head, loss=loss, optimizer=optimizer, parameters=parameters)

    def step(impl: str) -> None:
        made["loss"].impl = impl
        made["optimizer"].zero_grad(set_to_none=False)
        made["loss"](hidden, made["head"], targets).loss.backward()

    state = peak_bytes(make)
    peaks, sent, seconds = dict[str, int](), dict[str, list[int]](), {impl: list[float]() for impl in IMPLEMENTATIONS}
    for impl in IMPLEMENTATIONS:
        with counted() as sent[impl]:
            peaks[impl] = peak_bytes(partial(step, impl))
    for _ in range(sizes.rounds):
        for impl in IMPLEMENTATIONS:
            dist.barrier()
            start = time.perf_counter()
            step(impl)
            seconds[impl].append(time.perf_counter() - start)
    weights = sum(p.numel() * p.element_size() for p in made["parameters"])
    matrix = 4 * sizes.rows * max(shard.size, 1)
    return [
        Measured(
            processes,
            impl,
            sizes.labels,
            sizes.rows,
            sizes.size,
            round(weights / MIB, 1),
            round(state / MIB, 1),
            round(peaks[impl] / MIB, 1),
            round(peaks[impl] / matrix, 1),
            round(sum(sent[impl]) / MIB, 3),
            len(sent[impl]),
            round(1000 * statistics.median(seconds[impl]), 1),
        )
        for impl in IMPLEMENTATIONS
    ]


@contextmanager
def counted() -> Iterator[list[int]]:
    """Collect the bytes of each all-reduce inside the block."""
    found, all_reduce = list[int](), dist.all_reduce

    def count(tensor: torch.Tensor, *arguments: Any, **more: Any) -> Any:
        found.append(tensor.numel() * tensor.element_size())
        return all_reduce(tensor, *arguments, **more)

    dist.all_reduce = count
    try:
        yield found
    finally:
        dist.all_reduce = all_reduce


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
