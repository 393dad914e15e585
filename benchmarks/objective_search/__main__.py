"""Screen soft-target objectives on held-out data.

python -m benchmarks.objective_search --data DIR --sets bank10,mnist100 --seeds 0-3 --out results/search/objective.jsonl

One JSON line per run. Runs that are in the file already are skipped, so that the same command continues a killed
search. Test data are not read.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.objective_search.candidates import CANDIDATES
from benchmarks.objective_search.data import SearchData, banking77, cifar100, mnist
from labelemb.metrics.calibration import adaptive_calibration_error

CROP = {16: 2, 32: 4}  # pixels of padding by the side of the image


def sets_of(folder: Path, cache: Path) -> dict[str, Callable[[int], SearchData]]:
    """Return name -> function of the seed."""
    features = cache / "banking77-minilm.npz"
    found: dict[str, Callable[[int], SearchData]] = {
        f"bank{count}": partial(banking77, folder, features, count) for count in (5, 10, 20)
    }
    return found | {
        "mnist100": lambda seed: mnist(folder, 100),
        "c16": lambda seed: cifar100(folder, 100, 16, 30),
        "c32": lambda seed: cifar100(folder, 100, 32, 40),
    }


def train(data: SearchData, name: str, seed: int) -> dict[str, float]:
    """Train one candidate; return its figures on the held-out rows."""
    torch.manual_seed(1000 + seed)
    model = data.model()
    torch.manual_seed(5000 + seed)
    kind, options = CANDIDATES[name]
    size = int(model.head.in_features)  # type: ignore[union-attr, arg-type]
    loss = kind(**{"hidden_size": size, "num_labels": data.num_labels, "rows": len(data.labels), **options})
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=data.learning_rate, fused=True)
    random, step = torch.Generator().manual_seed(9000 + seed), 0
    total = data.epochs * -(-len(data.labels) // data.batch_size)
    for epoch in range(data.epochs):
        for rows in torch.split(torch.randperm(len(data.labels), generator=random), data.batch_size):
            inputs = _cropped(data.inputs[rows], data.image_side, random) if data.image_side else data.inputs[rows]
            for group in optimizer.param_groups:
                group["lr"] = data.learning_rate * _factor(data.schedule, step / total)
            place = (rows, step / total, (epoch + 1) / data.epochs)
            value = loss(model(inputs), model.head, data.labels[rows], place)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            step += 1
        loss.epoch_end()
    return evaluate(model, data)


@torch.no_grad()
def evaluate(model: torch.nn.Module, data: SearchData) -> dict[str, float]:
    """Return error, likelihood and calibration (15 bins of equal mass) before and after temperature scaling."""
    model.eval()
    parts = torch.split(data.valid_inputs, 500)
    z, y = torch.cat([model.head(model(part)).float() for part in parts]), data.valid_labels  # type: ignore[operator]
    nll = {t: float(F.cross_entropy(z / t, y)) for t in [math.exp(k / 20) for k in range(-32, 33)]}
    best = min(nll, key=lambda t: nll[t])
    confidence, predicted = F.softmax(z, 1).max(1)
    correct = (predicted == y).double()
    return {
        "valid_error": 100 * float(1 - correct.mean()),
        "valid_nll": nll[1.0],
        "valid_ece": adaptive_calibration_error(confidence.double(), correct),
        "temperature": best,
        "scaled_nll": nll[best],
    }


def _cropped(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    pad, count = CROP[side], len(images)
    padded = F.pad(images, (pad,) * 4).permute(0, 2, 3, 1)
    top, left = torch.randint(0, 2 * pad + 1, (2, count), generator=random)
    mirrored = torch.rand(count, generator=random) < 0.5
    rows, columns = top[:, None] + torch.arange(side), left[:, None] + torch.arange(side)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _factor(schedule: str, progress: float) -> float:
    if schedule == "one-cycle" and progress < 0.3:
        return 0.04 + 0.96 * progress / 0.3
    cosine = 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7))
    return {"constant": 1.0, "linear": 1 - progress, "one-cycle": cosine}[schedule]


def main() -> None:
    """Read the command line and train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory with intents/, mnist/ and cifar100/")
    parser.add_argument("--cache", type=Path, default=Path("build/search"), help="directory for text features")
    parser.add_argument("--sets", default="bank10", help="bank5, bank10, bank20, mnist100, c16, c32; commas between")
    parser.add_argument("--seeds", default="0", help="a seed, or a range such as 0-3")
    parser.add_argument("--candidates", default=";".join(CANDIDATES), help="names with semicolons between")
    parser.add_argument("--out", type=Path, default=Path("build/search/objective.jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = chosen.out.read_text(encoding="utf-8").splitlines() if chosen.out.is_file() else []
    done = {(row["data"], row["method"], row["seed"]) for row in map(json.loads, lines)}
    first, _, last = chosen.seeds.partition("-")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for set_name in chosen.sets.split(","):
        for seed in range(int(first), int(last or first) + 1):
            data = sets_of(chosen.data, chosen.cache)[set_name](seed)
            for name in chosen.candidates.split(";"):
                if (set_name, name, seed) not in done:
                    start = time.perf_counter()
                    row = {"data": set_name, "method": name, "seed": seed, **train(data, name, seed)}
                    row["seconds"] = round(time.perf_counter() - start, 1)
                    with chosen.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
