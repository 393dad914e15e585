"""Two gloo processes equal one with the whole batch, chunk by chunk too: uneven halves, an empty one, a global mask."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.processes import run_in_processes

from .vocabulary import FORMS, Case, build

CUTS = (12, 5, 23)


def worker(folder: str) -> None:
    """Write the mean of totals and of gradients, and the gradients of this part's rows."""
    part, results = dist.get_rank(), {}
    for cut in CUTS:
        for form, objective in FORMS.items():
            built = build(Case(objective=objective), "chunked", chunk_bytes=3000)
            rows = slice(0, cut) if part == 0 else slice(cut, None)
            out = built.loss(built.hidden[rows], built.head, built.targets[rows])
            out.loss.backward()
            mean = {"total": out.loss.detach(), **built.gradients()}
            for tensor in mean.values():
                assert tensor is not None
                dist.all_reduce(tensor)
                tensor /= 2
            results[cut, form] = mean
    if part == 0:
        torch.save(results, f"{folder}/results.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_in_processes(2, tmp_path, worker, str(tmp_path))
    results = torch.load(tmp_path / "results.pt")
    for (cut, form), mean in results.items():
        built = build(Case(objective=FORMS[form]), "chunked")
        out = built.loss(built.hidden, built.head, built.targets)
        out.loss.backward()
        assert mean["total"].item() == pytest.approx(out.loss.item(), rel=1e-12), (cut, form)
        for name, gradient in built.gradients().items():
            assert torch.allclose(mean[name], gradient, rtol=1e-10, atol=1e-13), (cut, form, name)
