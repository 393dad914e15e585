"""``attach``: one group of its own, steps counted, state kept."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labelemb import LabelEmbeddingLoss, LabelSmoothingLoss, Objective
from labelemb.errors import ConfigError

from ..refusal import refuses


def setup(lr: float = 5e-5, **options: Any) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    return model, torch.optim.AdamW(model.parameters(), lr=lr, **options)


def train_step(loss: LabelEmbeddingLoss, model: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss(torch.randn(6, 4), model, torch.randint(3, (6,))).loss.backward()
    optimizer.step()


def groups_of(optimizer: torch.optim.Optimizer, loss: nn.Module) -> list[dict[str, Any]]:
    ids = {id(p) for p in loss.parameters()}
    return [group for group in optimizer.param_groups if ids & {id(p) for p in group["params"]}]


@pytest.mark.parametrize(
    ("lr", "chosen", "expected"), [(5e-5, None, 1e-2), (1e-3, None, 1e-3), (0.1, None, 0.1), (5e-5, 0.02, 0.02)]
)
def test_its_own_group(lr: float, chosen: float | None, expected: float) -> None:
    model, optimizer = setup(lr)
    loss = LabelEmbeddingLoss(4, 3)
    assert loss.attach(optimizer, chosen) is loss
    loss.attach(optimizer, chosen)  # twice is harmless
    (group,) = groups_of(optimizer, loss)
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (expected, 0.0, 3)
    assert optimizer.param_groups[0]["lr"] == lr
    assert optimizer.param_groups[0]["weight_decay"] > 0
    train_step(loss, model, optimizer)
    assert loss.steps == 1


def test_parameters_that_are_in_the_optimizer_are_moved_with_their_state() -> None:
    model, _ = setup()
    loss = LabelEmbeddingLoss(4, 3)
    optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=5e-5)
    train_step(loss, model, optimizer)
    before = optimizer.state[loss.embedding.weight]["exp_avg"].clone()
    loss.attach(optimizer)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 5
    (group,) = groups_of(optimizer, loss)
    assert (group["lr"], group["weight_decay"]) == (1e-2, 0.0)
    assert torch.equal(optimizer.state[loss.embedding.weight]["exp_avg"], before)
    train_step(loss, model, optimizer)
    assert float(optimizer.state[loss.embedding.weight]["step"]) == 2


def test_a_group_that_the_user_made_keeps_its_learning_rate() -> None:
    model, _ = setup()
    loss = LabelEmbeddingLoss(4, 3)
    optimizer = torch.optim.AdamW([{"params": model.parameters()}, {"params": loss.parameters(), "lr": 0.3}], lr=5e-5)
    loss.attach(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-5, 0.3]
    assert optimizer.param_groups[1]["weight_decay"] == 0


def test_named_parameters() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    loss = LabelEmbeddingLoss(4, 3).attach(optimizer)
    assert optimizer.param_groups[1]["param_names"] == [f"loss.{name}" for name, _ in loss.named_parameters()]


def test_a_scheduler_drives_both_groups_and_must_come_after() -> None:
    model, optimizer = setup()
    loss = LabelEmbeddingLoss(4, 3).attach(optimizer)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    train_step(loss, model, optimizer)
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [2.5e-5, 5e-3]
    loss.attach(optimizer)
    assert optimizer.param_groups[1]["lr"] == 5e-3, "attached again the rate stays with the scheduler"
    with refuses(ConfigError, "optimizer", "no learning-rate scheduler", hint="before making the scheduler"):
        LabelEmbeddingLoss(4, 3).attach(optimizer)


def test_checkpoint_and_resume() -> None:
    def run(steps: int, state: dict[str, Any] | None = None) -> dict[str, Any]:
        model, optimizer = setup()
        loss = LabelEmbeddingLoss(4, 3, objective=Objective(soft_start=2)).attach(optimizer)
        if state is not None:
            for part, module in (("model", model), ("loss", loss), ("optimizer", optimizer)):
                module.load_state_dict(state[part])
        for step in range(0 if state is None else state["steps"], steps):
            torch.manual_seed(step)
            train_step(loss, model, optimizer)
        assert loss.steps == steps
        parts = {"model": model.state_dict(), "loss": loss.state_dict(), "optimizer": optimizer.state_dict()}
        return copy.deepcopy(parts) | {"steps": steps}

    whole, resumed = run(5), run(5, run(3))
    for part in ("model", "loss"):
        torch.testing.assert_close(resumed[part], whole[part], rtol=0, atol=0)


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_the_scaler_skips_does_not_count(fused: bool) -> None:
    model, optimizer = setup(fused=fused)
    loss = LabelEmbeddingLoss(4, 3).attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    counted = []
    for infinite in (False, True, False):
        optimizer.zero_grad()
        scaler.scale(loss(torch.randn(6, 4), model, torch.randint(3, (6,))).loss).backward()
        if infinite:
            model.weight.grad[0, 0] = float("inf")
        before = model.weight.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(model.weight, before) == infinite
        counted.append(loss.steps)
    assert counted == [1, 1, 2]


def test_a_loss_without_parameters_has_its_steps_counted_alone() -> None:
    class Counting(LabelSmoothingLoss):
        steps = 0

        def step(self) -> None:
            self.steps += 1

    model, optimizer = setup()
    loss = Counting().attach(optimizer)
    train_step(loss, model, optimizer)
    assert (loss.steps, len(optimizer.param_groups)) == (1, 1)


def test_the_optimizer_does_not_keep_the_loss_alive_and_copies_are_not_attached() -> None:
    model, optimizer = setup()
    loss = LabelEmbeddingLoss(4, 3).attach(optimizer)
    other = copy.deepcopy(loss)
    train_step(loss, model, optimizer)
    assert (loss.steps, other.steps) == (1, 0)
    del loss
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_refusals(lr: float) -> None:
    model, optimizer = setup()
    with refuses(ConfigError, "lr", "> 0", lr):
        LabelEmbeddingLoss(4, 3).attach(optimizer, lr)
    with refuses(ConfigError, "optimizer", "torch.optim.Optimizer", "Linear"):
        LabelEmbeddingLoss(4, 3).attach(model)


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adafactor])
def test_kinds_of_optimizers(make: type[torch.optim.Optimizer]) -> None:
    model = nn.Linear(4, 3)
    optimizer = make(model.parameters(), lr=torch.tensor(1e-4) if make is torch.optim.Adam else 1e-4)
    loss = LabelEmbeddingLoss(4, 3).attach(optimizer)
    before = loss.auxiliary.weight.detach().clone()
    train_step(loss, model, optimizer)
    assert float(optimizer.param_groups[1]["lr"]) == pytest.approx(1e-2)
    assert isinstance(optimizer.param_groups[1]["lr"], Tensor) == (make is torch.optim.Adam)
    assert not torch.equal(before, loss.auxiliary.weight)
