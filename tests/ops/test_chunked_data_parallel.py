"""Two gloo processes equal one with the whole batch, chunk by chunk too: uneven halves, an empty one, a global mask."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from .vocabulary import FORMS, Case, build

CUTS = (12, 5, 23)


def worker(part: int, folder: str) -> None:
    """Write the mean of totals and of gradients, and the gradients of this part's rows."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=part, world_size=2)
    results = {}
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
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    results = torch.load(tmp_path / "results.pt")
    for (cut, form), mean in results.items():
        built = build(Case(objective=FORMS[form]), "chunked")
        out = built.loss(built.hidden, built.head, built.targets)
        out.loss.backward()
        assert mean["total"].item() == pytest.approx(out.loss.item(), rel=1e-12), (cut, form)
        for name, gradient in built.gradients().items():
            assert torch.allclose(mean[name], gradient, rtol=1e-10, atol=1e-13), (cut, form, name)
