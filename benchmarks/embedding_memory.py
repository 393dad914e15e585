"""Memory of a label embedding while it trains: dense (V x V) against compressed (2 V R + V parameters).

python -m benchmarks.embedding_memory [--save]
"""

import argparse
import csv
from pathlib import Path

import torch

from benchmarks.measure import describe_machine
from benchmarks.memory import in_fresh_process, peak_bytes
from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding
from labelemb.terms.embedding import LabelEmbedding

RESULTS = Path(__file__).parent / "results" / "embedding_memory.csv"
RANK = 512
LABELS = (1_000, 3_000, 7_710, 12_000, 50_000)  # 7,710: vocab.vi of IWSLT15; 50,000: the largest published
DENSE_UP_TO = 12_000  # a dense embedding for 50,000 labels takes 40 GB with gradient and Adam's moments
DISTINCT = 500  # labels of a batch of 64 sentences


def train_once(kind: str, labels: int) -> None:
    """Create an embedding and take one Adam step on the rows of some labels."""
    torch.manual_seed(0)
    embedding: LabelEmbedding
    embedding = DenseLabelEmbedding(labels) if kind == "dense" else CompressedLabelEmbedding(labels, RANK)
    optimizer = torch.optim.Adam(embedding.parameters(), fused=True)
    rows = embedding.rows(torch.arange(min(DISTINCT, labels)))
    torch.autograd.backward(torch.logsumexp(rows, dim=1).sum())
    optimizer.step()


def measure(kind: str, labels: int) -> int:
    """Return the peak memory in bytes, measured after a small embedding of the same kind."""
    torch.set_num_threads(1)
    train_once(kind, 100)
    return peak_bytes(lambda: train_once(kind, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS}")
    args = parser.parse_args()
    rows = []
    for labels in LABELS:
        for kind in ("dense", "compressed"):
            numbers = labels * labels if kind == "dense" else 2 * labels * RANK + labels
            fits = kind == "compressed" or labels <= DENSE_UP_TO
            peak = round(in_fresh_process(measure, kind, labels) / 2**20) if fits else ""
            rows.append([kind, labels, "" if kind == "dense" else RANK, numbers, round(4 * numbers / 2**20), peak])
            print(*rows[-1], sep=",", flush=True)
    if args.save:
        with RESULTS.open("w", encoding="utf-8", newline="") as file:
            file.write(f"# {describe_machine()}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["embedding", "labels", "rank", "numbers", "weights_mib", "peak_mib"])
            writer.writerows(rows)


if __name__ == "__main__":
    main()
