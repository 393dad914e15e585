"""Checkpoints with valid syntax and wrong values: one error that names the file and the entry."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from labelemb.errors import ConfigError, DataError
from labelemb.losses.baselines.ps_kd import PSKDLoss
from labelemb.training.checkpoint import (
    load_checkpoint,
    load_history,
    load_optimizer,
    load_weights,
    save_checkpoint,
)
from labelemb.training.model_size import check_model_size

LINE = {"epoch": 1, "step": 5, "terms": {}}
WRONG_TENSORS = {
    "text": "text",
    "number": 1.0,
    "none": None,
    "list": [1.0],
    "other shape": torch.zeros(3, 3),
    "scalar": torch.tensor(1.0),
    "other type": torch.zeros(3, 2, dtype=torch.int64),
    "complex": torch.zeros(3, 2, dtype=torch.complex64),
    "half": torch.zeros(3, 2).half(),
    "sparse": torch.zeros(3, 2).to_sparse(),
}


def trained(optimizer: type[torch.optim.Optimizer]) -> tuple[nn.Linear, torch.optim.Optimizer]:
    model = nn.Linear(2, 3)
    made: Any = optimizer
    made = made(model.parameters(), lr=0.1, **({"momentum": 0.9} if optimizer is torch.optim.SGD else {}))
    model(torch.ones(1, 2)).sum().backward()
    made.step()
    return model, made


@pytest.mark.parametrize("value", WRONG_TENSORS.values(), ids=WRONG_TENSORS.keys())
def test_invalid_weights_are_refused(value: object) -> None:
    model = nn.Linear(2, 3)
    before = copy.deepcopy(model.state_dict())
    content = {"model": model.state_dict() | {"weight": value}}
    with pytest.raises(DataError, match=r"last.pt, model, weight: expected a \(3, 2\) float32 tensor, got "):
        load_weights(model, content, "model", Path("last.pt"))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("weights", [None, [], "text", 3, {}, {"weight": torch.zeros(3, 2)}, {1: 2}])
def test_invalid_weight_names_are_refused(weights: object) -> None:
    for content in ({"model": weights}, {}):
        with pytest.raises(DataError, match=r"last.pt, model: expected"):
            load_weights(nn.Linear(2, 3), content, "model", Path("last.pt"))


def test_state_of_another_data_set_is_not_broadcast() -> None:
    one, many = (PSKDLoss(3, num_samples=samples, epochs=2) for samples in (1, 8))
    state = one.state_dict()
    with pytest.raises(DataError, match="last.pt, loss, past"):
        load_weights(many, {"loss": state}, "loss", Path("last.pt"))


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_optimizer_state_round_trip(optimizer: type[torch.optim.Optimizer]) -> None:
    _, first = trained(optimizer)
    _, second = trained(optimizer)
    load_optimizer(second, {"optimizer": first.state_dict()}, Path("last.pt"))
    for mine, theirs in zip(first.state.values(), second.state.values(), strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def _entry(change: Callable[[dict[Any, Any]], object]) -> Callable[[dict[str, Any]], None]:
    def changed(saved: dict[str, Any]) -> None:
        change(saved["state"])

    return changed


OPTIMIZERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no state": lambda saved: saved.pop("state"),
    "text": lambda saved: saved.update(state="text"),
    "more parameters": _entry(lambda state: state.update({7: state[0]})),
    "names for numbers": _entry(lambda state: state.update(weight=state[0])),
    "no dictionary": _entry(lambda state: state.update({0: "text"})),
    "an entry less": _entry(lambda state: state[0].pop("exp_avg")),
    "an entry more": _entry(lambda state: state[0].update(other=1)),
    "SGD for one": _entry(lambda state: state.update({0: {"momentum_buffer": torch.zeros(3, 2)}})),
    **{
        f"{name}: {kind}": _entry(lambda state, name=name, value=value: state[0].update({name: value}))  # type: ignore[misc]
        for name in ("exp_avg", "exp_avg_sq", "step")
        for kind, value in WRONG_TENSORS.items()
        if kind != "none" and not (name == "step" and kind == "scalar")
    },
}


@pytest.mark.parametrize("change", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_optimizer_state_of_another_model_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    _, optimizer = trained(torch.optim.Adam)
    saved = copy.deepcopy(optimizer.state_dict())
    change(saved)
    with pytest.raises(DataError, match="last.pt, optimizer"):
        load_optimizer(optimizer, {"optimizer": saved}, Path("last.pt"))


@pytest.mark.parametrize(
    "history",
    [None, [], "text", [1], [{}], [LINE | {"step": 11}], [LINE] * 2, [{"epoch": 1}], [LINE | {"step": "5"}]],
)
def test_invalid_history_is_refused(history: object) -> None:
    with pytest.raises(DataError, match="last.pt, history"):
        load_history({"history": history}, 10, Path("last.pt"))


def test_error_does_not_suggest_unsafe_loading(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "last.pt")
    with pytest.raises(DataError, match="objects other than tensors") as caught:
        load_checkpoint(tmp_path / "last.pt")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("cut", range(10))
def test_truncated_file_is_refused(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"weight": torch.arange(100)}})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * cut // 10])
    with pytest.raises(DataError, match="expected a checkpoint of this program") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [10**5, 10**8, 10**18, 10**23])
def test_model_too_large_for_memory_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="width: expected .* memory"):
        check_model_size("width", lambda: nn.Sequential(nn.Linear(size, size), nn.Linear(size, size)))


def test_size_check_uses_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check_model_size("width", lambda: nn.Linear(10, 10))
    assert torch.equal(before, torch.get_rng_state())
