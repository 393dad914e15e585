"""Laws of every method whose loss is a mean over rows."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from labelemb.errors import ConfigError, DataError, ShapeError
from labelemb.losses.row_loss import RowLoss
from labelemb.methods import METHODS
from labelemb.terms.output import MixedTargets
from labelemb.terms.rank_local import RankLocalState
from tests.processes import run_in_processes

from .cases import CASES, LABELS, ROWS, make_case

MIXING = sorted(name for name, make in CASES.items() if make().supports_mixed_targets)
every_method = pytest.mark.parametrize("method", CASES)


def test_every_method_has_a_case() -> None:
    """Every method except label embedding, which has its own tests."""
    assert CASES.keys() | {"label_embedding"} == METHODS.keys()


def same_state(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """Include tensors that are not in the state_dict."""

    def state(loss: torch.nn.Module) -> dict[str, torch.Tensor]:
        own = {name: part.value for name, part in loss.named_modules() if isinstance(part, RankLocalState)}
        return own | dict(loss.named_buffers())

    torch.testing.assert_close(state(one), state(other))


@every_method
def test_terms_add_up_and_gradcheck(method: str) -> None:
    case = make_case(method)
    case.loss.validate_args = False
    out = case.loss(case.hidden, case.head, case.targets, index=case.index)
    torch.testing.assert_close(sum(out.terms.values()), out.loss.detach())
    case.loss.eval()

    def total(hidden: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        names = [name for name, _ in case.loss.named_parameters()]
        values, arguments = dict(zip(names, parameters, strict=True)), (hidden, case.head, case.targets)
        return torch.func.functional_call(case.loss, values, arguments, {"index": case.index}).loss

    assert torch.autograd.gradcheck(total, (case.hidden, *case.loss.parameters()))


@every_method
def test_counts(method: str) -> None:
    case = make_case(method)
    out = case.loss(case.hidden, case.head, case.targets, index=case.index)
    assert int(out.count) == ROWS
    assert int(out.correct) == int((case.logits().argmax(1) == case.targets).sum())


@every_method
def test_ignored_rows_equal_dropped_rows(method: str) -> None:
    case, again = make_case(method, 20), make_case(method, 20)
    keep = torch.arange(20) % 3 > 0
    broken = torch.where(keep[:, None], case.hidden.detach(), torch.nan).requires_grad_()
    masked = case.loss(broken, case.head, torch.where(keep, case.targets, -100), index=case.index)
    masked.loss.backward()
    dropped = again.loss(again.hidden[keep], again.head, again.targets[keep], index=again.index[keep])
    dropped.loss.backward()
    torch.testing.assert_close(masked.loss, dropped.loss)
    torch.testing.assert_close(case.head.weight.grad, again.head.weight.grad)
    torch.testing.assert_close(broken.grad[keep], again.hidden.grad[keep])
    assert not broken.grad[~keep].any()
    assert (masked.correct, masked.count) == (dropped.correct, dropped.count)
    for loss in (case.loss, again.loss):
        loss.epoch_end()
    assert case.loss.state_dict().keys() == again.loss.state_dict().keys()
    same_state(case.loss, again.loss)


@every_method
@pytest.mark.parametrize("rows", [0, 3])
def test_empty_batch_gives_zero(method: str, rows: int) -> None:
    case = make_case(method, rows)
    out = case.loss(case.hidden, case.head, torch.full((rows,), -100), index=case.index)
    out.loss.backward()
    assert (float(out.loss.detach()), int(out.count)) == (0, 0)
    assert not case.head.weight.grad.any()


@every_method
def test_micro_batches_equal_the_whole_batch(method: str) -> None:
    case, again = make_case(method), make_case(method)
    whole = case.loss(case.hidden, case.head, case.targets, index=case.index)
    parts = (slice(0, 5), slice(5, ROWS))
    pieces = [
        again.loss(again.hidden[p], again.head, again.targets[p], num_items_in_batch=ROWS, index=again.index[p])
        for p in parts
    ]
    for name, value in whole.terms.items():
        torch.testing.assert_close(pieces[0].terms[name] + pieces[1].terms[name], value)
    same_state(case.loss, again.loss)


@every_method
def test_sequence_shapes(method: str) -> None:
    case, again = make_case(method), make_case(method)
    flat = case.loss(case.hidden, case.head, case.targets, index=case.index)
    shaped = again.loss(again.hidden.view(3, 4, -1), again.head, again.targets.view(3, 4), index=again.index.view(3, 4))
    torch.testing.assert_close(flat.loss, shaped.loss)


@every_method
def test_autocast_and_compile(method: str) -> None:
    case = make_case(method)
    loss, head, hidden = case.loss.float().eval(), case.head.float(), case.hidden.detach().float()
    exact = loss(hidden, head, case.targets, index=case.index).loss.detach()
    with torch.autocast("cpu", torch.bfloat16):
        out = loss(hidden, head, case.targets, index=case.index)
    assert out.loss.dtype == torch.float32
    assert float(out.loss.detach()) == pytest.approx(float(exact), rel=0.05)
    torch._dynamo.reset()  # the methods share ``forward``, and there is a limit to how often one is compiled
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(hidden, head, case.targets, index=case.index).loss, exact)


@every_method
def test_state_dict_within_an_epoch_round_trip(method: str) -> None:
    """A new loss with the saved state gives the same values as the old one."""
    case, other = make_case(method), make_case(method, 20)
    old = case.loss
    arguments = (other.hidden, other.head, other.targets)
    old(*arguments, index=other.index)
    old.sync()
    new = make_case(method).loss
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    for loss in (old, new):
        loss(case.hidden, case.head, case.targets, index=case.index)
        loss.step()
        loss.epoch_end()
    same_state(old, new)
    assert torch.equal(old(*arguments, index=other.index).loss, new(*arguments, index=other.index).loss)


@every_method
def test_eval_mode_leaves_state_unchanged(method: str) -> None:
    case = make_case(method)
    before = copy.deepcopy(case.loss)
    case.loss.eval()
    case.loss(case.hidden, case.head, case.targets, index=case.index)
    same_state(before, case.loss)


@pytest.mark.parametrize("method", MIXING)
def test_mixed_targets_equal_weighted_values(method: str) -> None:
    case = make_case(method)
    case.loss.eval()
    second, weight = case.targets.roll(1), torch.linspace(0, 1, ROWS, dtype=torch.float64)
    second[2] = case.targets[2] = -100
    out = case.loss(case.hidden, case.head, MixedTargets(case.targets, second, weight))
    total = 0.0
    for row in set(range(ROWS)) - {2}:
        for labels, share in ((case.targets, weight[row]), (second, 1 - weight[row])):
            single = case.loss(case.hidden[row : row + 1], case.head, labels[row : row + 1])
            total += share * single.loss.detach() / (ROWS - 1)
    torch.testing.assert_close(out.loss.detach(), total)
    torch.testing.assert_close(sum(out.terms.values()), total)
    heavier = torch.where(weight >= 0.5, case.targets, second)
    assert int(out.correct) == int((case.logits().argmax(1) == heavier).sum())
    assert int(out.count) == ROWS - 1


@pytest.mark.parametrize("method", sorted(set(CASES) - set(MIXING)))
def test_mixed_targets_are_refused_where_unsupported(method: str) -> None:
    case = make_case(method)
    mixed = MixedTargets(case.targets, case.targets, torch.ones(ROWS))
    with pytest.raises(ConfigError, match="targets: expected one label per row for .*, got mixed targets"):
        case.loss(case.hidden, case.head, mixed, index=case.index)


def test_invalid_mixed_targets_are_refused() -> None:
    case = make_case("label_smoothing")
    labels, ones = case.targets, torch.ones(ROWS)

    def ask(*parts: torch.Tensor) -> None:
        case.loss(case.hidden, case.head, MixedTargets(*parts))

    with pytest.raises(ShapeError, match=r"targets.second: expected .* shape \(12,\), as the first, got .* \(11,\)"):
        ask(labels, labels[1:], ones)
    with pytest.raises(ShapeError, match=r"targets.weight: expected a floating point dtype"):
        ask(labels, labels, ones.long())
    with pytest.raises(ShapeError, match=r"targets.weight: expected a tensor, got float. For one weight: torch.full"):
        ask(labels, labels, 0.3)
    with pytest.raises(DataError, match=r"targets.weight: expected numbers from 0 to 1, got 2.0"):
        ask(labels, labels, 2 * ones)
    with pytest.raises(DataError, match="in both labels of a row or in none"):
        ask(labels, torch.where(torch.arange(ROWS) == 3, -100, labels), ones)
    with pytest.raises(DataError, match=r"labels 0\.\.4"):
        ask(labels, labels + LABELS, ones)


@every_method
def test_invalid_arguments(method: str) -> None:
    case = make_case(method)
    with pytest.raises(ShapeError, match="head: expected .*nn.Linear"):
        case.loss(case.hidden, torch.nn.ReLU(), case.targets, index=case.index)
    with pytest.raises(ShapeError, match=r"targets: expected shape \(12,\)"):
        case.loss(case.hidden, case.head, case.targets[1:], index=case.index[1:])
    with pytest.raises(DataError, match=r"labels 0\.\.4"):
        case.loss(case.hidden, case.head, case.targets + LABELS, index=case.index)
    with pytest.raises(ShapeError, match=r"index: expected dtype torch.int64 and shape \(12,\)"):
        case.loss(case.hidden, case.head, case.targets, index=case.index[1:])
    with pytest.raises(ConfigError, match="num_items_in_batch"):
        case.loss(case.hidden, case.head, case.targets, num_items_in_batch=0, index=case.index)


class Whole(torch.nn.Module):
    """A model that contains the loss, so that DDP synchronizes the tensors of the loss too."""

    def __init__(self, loss: RowLoss, head: torch.nn.Linear) -> None:
        super().__init__()
        self.loss, self.head = loss, head

    def forward(self, hidden: torch.Tensor, targets: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return self.loss(hidden, self.head, targets, index=index).loss


def run(folder: str) -> None:
    """Two batches and an epoch end of every method; the first of two processes has 3 rows, then none."""
    part, parts = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    results = {}
    for method in CASES:
        case = make_case(method, 2 * ROWS)
        loss = case.loss
        whole = Whole(loss, case.head)
        wrapped = DistributedDataParallel(whole) if parts > 1 else whole
        totals = []
        for start, cut in ((0, 3), (ROWS, ROWS)):
            rows = slice(start if part == 0 else cut, start + ROWS if part or parts == 1 else cut)
            total = wrapped(case.hidden[rows], case.targets[rows], case.index[rows])
            total.backward()
            totals.append(total.detach())
        loss.sync()
        middle = copy.deepcopy(loss.state_dict())
        loss.epoch_end()
        end = copy.deepcopy(loss.state_dict())
        next_epoch = loss(case.hidden, case.head, case.targets, index=case.index).loss.detach()  # alike in all
        sums = [*totals, case.head.weight.grad]
        if parts > 1:
            for tensor in sums:
                dist.all_reduce(tensor)
        own = [p.grad for p in loss.parameters() if p.requires_grad]
        results[method] = ([value / parts for value in sums], own, middle, end, next_epoch)
    torch.save(results, f"{folder}/{parts}-{part}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run(str(tmp_path))
    run_in_processes(2, tmp_path, run, str(tmp_path))
    alone = torch.load(tmp_path / "1-0.pt")
    for part in range(2):
        together = torch.load(tmp_path / f"2-{part}.pt")
        for method, want in alone.items():
            torch.testing.assert_close(together[method], want, msg=lambda text, m=method: f"{m}: {text}")


@every_method
def test_state_is_unchanged_in_eval_mode_and_without_gradients(method: str) -> None:
    """Also under no_grad, since users call ``eval()`` on the model but not on the loss."""
    case, untouched = make_case(method), make_case(method).loss
    with torch.no_grad():
        case.loss(case.hidden, case.head, case.targets, index=case.index)
    same_state(case.loss, untouched)
    case.loss.eval()
    case.loss(case.hidden, case.head, case.targets, index=case.index)
    case.loss(case.hidden, case.head, case.targets)  # validation samples have no numbers
    same_state(case.loss, untouched)


@every_method
def test_load_state_dict_discards_pending_updates(method: str) -> None:
    case = make_case(method)
    case.loss(case.hidden, case.head, case.targets, index=case.index)
    case.loss.sync()
    saved = copy.deepcopy(case.loss.state_dict())
    case.loss(case.hidden, case.head, case.targets.roll(1), index=case.index.roll(3))
    case.loss.load_state_dict(saved)
    case.loss.sync()
    torch.testing.assert_close(case.loss.state_dict(), saved)
