"""Progressive self-knowledge distillation against a reference with a dictionary."""

import math

import pytest
import torch
from torch import nn

from labelemb import PSKDLoss
from labelemb.errors import ConfigError, DataError

from .cases import LABELS, SIZE


def test_three_epochs_follow_the_definition() -> None:
    torch.manual_seed(0)
    loss = PSKDLoss(LABELS, num_samples=6, epochs=4)
    hidden, labels, memory = torch.randn(6, SIZE), torch.randint(LABELS, (6,)), dict[int, list[float]]()
    for epoch in range(1, 4):
        a, fresh = 0.8 * epoch / 4, {}
        for rows in torch.randperm(6).split(4):
            head = nn.Linear(SIZE, LABELS)
            out = loss(hidden[rows], head, labels[rows], index=rows)
            want = 0.0
            for row in rows.tolist():
                exps = [math.exp(z) for z in head(hidden[row]).tolist()]
                fresh[row] = [e / sum(exps) for e in exps]
                onehot = [float(k == labels[row]) for k in range(LABELS)]
                target = [(1 - a) * o + a * p for o, p in zip(onehot, memory.get(row, onehot), strict=True)]
                want -= sum(t * math.log(p) for t, p in zip(target, fresh[row], strict=True)) / len(rows)
            assert float(out.loss.detach()) == pytest.approx(want, rel=1e-5)
        loss.epoch_end()
        memory = fresh


def test_sample_index_is_required() -> None:
    loss, head = PSKDLoss(LABELS, 6, 2), nn.Linear(SIZE, LABELS)
    hidden, labels = torch.randn(2, SIZE), torch.tensor([0, 1])
    with pytest.raises(DataError, match="^index: .*which ps_kd needs, got None"):
        loss(hidden, head, labels)
    for wrong in (6, -1):
        with pytest.raises(DataError, match=rf"index: expected numbers 0\.\.5, got {wrong}"):
            loss(hidden, head, labels, index=torch.tensor([0, wrong]))
    loss(hidden, head, torch.tensor([0, -100]), index=torch.tensor([0, 999]))
    assert not loss.past.value[1:].any(), "an ignored row is nowhere"


def test_duplicate_samples_of_two_processes_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributed samplers pad the last batch with samples of other processes."""
    monkeypatch.setattr(
        "labelemb.losses.baselines.ps_kd.global_sum", lambda values: 2 * values
    )  # the other has the same
    loss = PSKDLoss(LABELS, 6, 2)
    loss(torch.randn(2, SIZE), nn.Linear(SIZE, LABELS), torch.tensor([0, 1]), index=torch.tensor([4, 2]))
    loss.sync()
    sums = loss.past.value.sum(1)
    torch.testing.assert_close(sums, torch.tensor([0.0, 0, 1, 0, 1, 0, 0]))


def test_oversized_memory_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"^num_samples: .* 4 GiB .*4\.8 GiB for 1281167 x 1000"):
        PSKDLoss(1000, 1_281_167, 90)
