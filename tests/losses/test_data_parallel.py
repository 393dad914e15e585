"""Two gloo processes equal one with the whole batch: the mean of totals and of gradients, uneven halves too."""

import itertools
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from labelemb import LabelEmbeddingLoss, LinearCrossEntropyLoss, Objective
from labelemb.functional import TERMS
from tests.processes import run_in_processes

from .reference import make_case
from .test_label_embedding import FORMS

CUTS = (6, 3, 12)  # halves, uneven, one side empty
OBJECTIVES = {**FORMS, **{f"without {name}": Objective.vision().without(name) for name in TERMS}}


class Net(nn.Module):
    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4).double(), head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)


def run(folder: str) -> None:
    """One process; without a group the reference. Writes totals and gradients of every objective and cut."""
    part, parts = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    results = {}
    for cut, name in itertools.product(CUTS if parts > 1 else [0], [*OBJECTIVES, "cross entropy"]):
        case = make_case(OBJECTIVES.get(name, Objective.vision()))
        torch.manual_seed(1)
        net, loss = Net(case.head), LinearCrossEntropyLoss() if name == "cross entropy" else case.loss
        modules = [net, loss]
        if parts > 1:
            modules = [DistributedDataParallel(m) if list(m.parameters()) else m for m in modules]
        rows = slice(0, cut) if part == 0 and parts > 1 else slice(cut, None)
        targets = case.targets.clone()
        targets[1] = -100
        out = modules[1](modules[0](case.hidden.detach()[rows]), net.head, targets[rows])
        out.loss.backward()
        total = out.loss.detach()
        if parts > 1:
            dist.all_reduce(total)
        results[cut, name] = (total / parts, [p.grad for module in (net, loss) for p in module.parameters()])
    torch.save(results, f"{folder}/{parts}-{part}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run(str(tmp_path))
    run_in_processes(2, tmp_path, run, str(tmp_path))
    alone = torch.load(tmp_path / "1-0.pt")
    for part in range(2):
        together = torch.load(tmp_path / f"2-{part}.pt")
        assert len(together) == len(CUTS) * len(alone)
        for (cut, name), (total, gradients) in together.items():
            want_total, want_gradients = alone[0, name]
            torch.testing.assert_close(total, want_total, msg=lambda text, name=name, cut=cut: f"{name} {cut}: {text}")
            for got, want in zip(gradients, want_gradients, strict=True):
                torch.testing.assert_close(got, want, msg=lambda text, name=name, cut=cut: f"{name} {cut}: {text}")


def alone_in_a_group(folder: str) -> None:
    """Each of two processes is a data-parallel group of its own: denominators are those of its own rows."""
    part = dist.get_rank()
    group = [dist.new_group([0]), dist.new_group([1])][part]
    case = make_case(Objective.vision())
    rows = slice(0, 3) if part == 0 else slice(3, None)
    arguments = (case.hidden.detach()[rows], case.head, case.targets[rows])
    totals = {}
    for impl in ("eager", "chunked"):
        loss = LabelEmbeddingLoss(4, 5, impl=impl, process_group=group).double()
        loss.load_state_dict(case.loss.state_dict())
        totals[impl] = loss(*arguments).loss.detach()
        one_hot = LinearCrossEntropyLoss(impl=impl, process_group=group)
        totals[f"cross entropy {impl}"] = one_hot(*arguments).loss.detach()
    torch.save(totals, f"{folder}/group-{part}.pt")


def test_rows_are_counted_in_the_group_that_is_given(tmp_path: Path) -> None:
    run_in_processes(2, tmp_path, alone_in_a_group, str(tmp_path))
    for part, rows in enumerate((slice(0, 3), slice(3, None))):
        case = make_case(Objective.vision())
        arguments = (case.hidden[rows], case.head, case.targets[rows])
        wanted = {"": case.loss(*arguments), "cross entropy ": LinearCrossEntropyLoss()(*arguments)}
        for name, total in torch.load(tmp_path / f"group-{part}.pt").items():
            want = wanted[name.removesuffix("eager").removesuffix("chunked")].loss.detach()
            torch.testing.assert_close(total, want)
