"""Labels split over processes: time, memory and data sent per process, on gloo with one thread each.

python -m benchmarks.label_shards [--processes 1,2,4] [--labels 40000] [--rows 256] [--size 128] [--save]
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
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from benchmarks.measure import describe_machine
from benchmarks.memory import peak_bytes
from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, LabelShard, Objective

RESULTS = Path(__file__).parent / "results" / "label_shards.csv"
ROUNDS = 3
MIB = 2**20


@dataclass(frozen=True)
class Sizes:
    """V labels, N rows, D hidden size, also the rank of the embedding."""

    labels: int
    rows: int
    size: int


@dataclass
class Measured:
    """One process's share; MiB, and milliseconds of a step."""

    processes: int
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
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS}")
    args = parser.parse_args()
    sizes, found = Sizes(args.labels, args.rows, args.size), []
    names = [field.name for field in fields(Measured)]
    print(",".join(names))
    for processes in map(int, args.processes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            spawn(run, args=(processes, sizes, folder), nprocs=processes)  # type: ignore[no-untyped-call]
            found.append(torch.load(f"{folder}/measured.pt", weights_only=True))
        print(*found[-1], sep=",", flush=True)
    if args.save:
        with RESULTS.open("w", encoding="utf-8", newline="") as file:
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
        torch.save(list(astuple(measured)), f"{folder}/measured.pt")
    dist.barrier()
    dist.destroy_process_group()


def measure(sizes: Sizes, processes: int) -> Measured:
    """Make the layers, train them for a few steps and return this process's figures."""
    torch.manual_seed(0)
    made: dict[str, Any] = {}
    shard = LabelShard.of(sizes.labels)
    hidden = torch.randn(sizes.rows, sizes.size, requires_grad=True)
    targets = torch.randint(sizes.labels, (sizes.rows,))

    def make() -> None:
        embedding = CompressedLabelEmbedding(sizes.labels, sizes.size, shard=shard)
        objective = Objective(soft_temperature=2.0)
        loss = LabelEmbeddingLoss(sizes.size, sizes.labels, embedding, objective, impl="eager", shard=shard)
        head = nn.Linear(sizes.size, shard.size)
        parameters = [*head.parameters(), *loss.parameters()]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = torch.optim.Adam(parameters, fused=True)
        optimizer.step()  # makes the moments
        made.update(head=head, loss=loss, optimizer=optimizer, parameters=parameters)

    def step() -> None:
        made["optimizer"].zero_grad(set_to_none=False)
        made["loss"](hidden, made["head"], targets).loss.backward()

    state = peak_bytes(make)
    with counted() as sent:
        peak = peak_bytes(step)
    seconds = []
    for _ in range(ROUNDS):
        dist.barrier()
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    weights = sum(p.numel() * p.element_size() for p in made["parameters"])
    matrix = 4 * sizes.rows * max(shard.size, 1)
    return Measured(
        processes,
        sizes.labels,
        sizes.rows,
        sizes.size,
        round(weights / MIB, 1),
        round(state / MIB, 1),
        round(peak / MIB, 1),
        round(peak / matrix, 1),
        round(sum(sent) / MIB, 3),
        len(sent),
        round(1000 * statistics.median(seconds), 1),
    )


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
