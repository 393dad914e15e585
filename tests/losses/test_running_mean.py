"""The label embedding as a running mean: its definition, and the laws that every state of a loss keeps."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from labelemb import (
    CompressedLabelEmbedding,
    DenseLabelEmbedding,
    LabelEmbedding,
    LabelEmbeddingLoss,
    Objective,
    RunningMeanLabelEmbedding,
)
from labelemb.errors import ConfigError

from ..processes import run_in_processes
from ..refusal import refuses

D, V, N = 4, 5, 24
OBJECTIVE = Objective(
    beta=0.3, soft_temperature=2.0, soft_scale=4.0, embedding_update="running_mean", terms={"hard", "soft", "aux"}
)


def test_nan_of_a_row_that_does_not_count_stays_out_of_the_mean() -> None:
    """As after an overflow in fp16, where the GradScaler skips the step."""
    embedding = RunningMeanLabelEmbedding(2)
    predictions = torch.tensor([[0.75, 0.25], [torch.nan, torch.nan]])
    embedding.observe(predictions, torch.tensor([0, 0]), torch.tensor([1.0, 0.0]))
    embedding.end_epoch()
    torch.testing.assert_close(embedding.soft_labels()[0], predictions[0])


class Case:
    """A loss in float64 whose auxiliary head is right on about half of the rows, and never on label 4."""

    def __init__(self, objective: Objective = OBJECTIVE) -> None:
        torch.manual_seed(0)
        self.loss = LabelEmbeddingLoss(D, V, objective=objective).double()
        self.head = nn.Linear(D, V).double()
        self.hidden = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            self.loss.auxiliary.weight.mul_(4)
            predicted = self.loss.auxiliary(self.hidden).argmax(1)
            self.targets = torch.where(torch.arange(N) % 2 == 0, predicted, torch.randint(V, (N,)))
            self.targets[predicted == 4] = 0
            self.targets[:2] = 4

    def __call__(self, rows: slice | Tensor = slice(None), **options: object) -> Tensor:
        return self.loss(self.hidden[rows], self.head, self.targets[rows], **options).loss

    def means(self) -> dict[int, Tensor]:
        """The definition, row by row."""
        z2 = self.loss.auxiliary(self.hidden).detach()
        found: dict[int, list[Tensor]] = {}
        for row, label in zip(z2, self.targets.tolist(), strict=True):
            if int(row.argmax()) == label:
                found.setdefault(label, []).append(torch.softmax(row / 2, 0))
        return {label: torch.stack(rows).mean(0) for label, rows in found.items()}


def test_soft_labels_are_the_means_of_the_epoch() -> None:
    case = Case()
    case(slice(0, 10))
    case(slice(10, None))
    assert not case.loss.embedding.known.any(), "an epoch must end first"
    case.loss.epoch_end()
    want = case.means()
    assert set(case.loss.embedding.known.nonzero()[:, 0].tolist()) == set(want)
    assert 4 not in want
    soft = case.loss.embedding.soft_labels()
    for label, mean in want.items():
        torch.testing.assert_close(soft[label], mean)


def test_the_loss_is_its_definition() -> None:
    case = Case()
    first = case()
    want = nn.functional.cross_entropy(case.head(case.hidden), case.targets)
    terms = case.loss(case.hidden, case.head, case.targets).terms
    torch.testing.assert_close(terms["hard"], want.detach(), msg="no soft label yet: all the weight is the hard term's")
    assert terms["soft"] == terms["embedding"] == 0
    case.loss.zero_grad()
    first.backward()
    case.loss = Case().loss
    case()
    case.loss.epoch_end()
    total = 0.0
    for z, label in zip(case.head(case.hidden), case.targets.tolist(), strict=True):
        hard = -z.log_softmax(0)[label]
        mean = case.means().get(label)
        soft = hard if mean is None else -4 * (mean * (z / 2).log_softmax(0)).sum()
        total += (0.3 * hard + 0.7 * soft) / N
    terms = case.loss(case.hidden, case.head, case.targets).terms
    torch.testing.assert_close(terms["hard"] + terms["soft"], total.detach())


def test_a_label_that_is_not_seen_again_keeps_its_soft_label() -> None:
    case = Case()
    case()
    case.loss.epoch_end()
    before = case.loss.embedding.soft_labels().clone()
    label = next(iter(case.means()))
    case(case.targets != label)
    case.loss.epoch_end()
    torch.testing.assert_close(case.loss.embedding.soft_labels()[label], before[label])
    assert case.loss.embedding.known[label]


def test_ignored_rows_are_rows_that_are_not_there() -> None:
    masked, dropped = Case(), Case()
    keep = torch.arange(N) % 3 > 0
    masked.hidden = torch.where(keep[:, None], masked.hidden.detach(), torch.nan)
    masked.targets = torch.where(keep, masked.targets, -100)
    for _ in range(2):
        torch.testing.assert_close(masked(), dropped(keep))
        masked.loss.epoch_end()
        dropped.loss.epoch_end()
    torch.testing.assert_close(masked.loss.state_dict(), dropped.loss.state_dict())


def test_only_training_is_observed() -> None:
    case = Case()
    with torch.no_grad():
        case()
    case.loss.eval()
    case()
    case.loss.epoch_end()
    assert not case.loss.embedding.known.any()


def test_saved_in_the_middle_of_an_epoch_it_goes_on() -> None:
    whole, other = Case(), Case()
    whole(slice(0, 10))
    whole.loss.sync()
    other(slice(3, 9))  # of another history: forgotten when a state is loaded
    other.loss.load_state_dict(copy.deepcopy(whole.loss.state_dict()))
    for case in (whole, other):
        case(slice(10, None))
        case.loss.epoch_end()
    torch.testing.assert_close(whole.loss.state_dict(), other.loss.state_dict())


def worker(folder: str) -> None:
    part, case = dist.get_rank(), Case()
    rows = slice(0, 7) if part == 0 else slice(7, None)
    case(rows)
    case.loss.epoch_end()
    total = case(rows)
    total.backward()
    case.loss.sync()
    gradient = case.head.weight.grad
    for tensor in (total := total.detach(), gradient):
        dist.all_reduce(tensor)
    torch.save((total / 2, gradient / 2, case.loss.state_dict()), f"{folder}/{part}.pt")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    run_in_processes(2, tmp_path, worker, str(tmp_path))
    case = Case()
    case()
    case.loss.epoch_end()
    total = case()
    total.backward()
    case.loss.sync()
    for part in range(2):
        got = torch.load(tmp_path / f"{part}.pt")
        torch.testing.assert_close(got, (total.detach(), case.head.weight.grad, dict(case.loss.state_dict())))


def test_it_needs_no_optimizer_but_its_auxiliary_head_does() -> None:
    case = Case()
    assert {name for name, p in case.loss.named_parameters() if p.requires_grad} == {
        "auxiliary.weight",
        "auxiliary.bias",
    }
    case().backward()
    assert case.loss.auxiliary.weight.grad.any()
    assert case.loss.embedding.weight.grad is None


def test_a_file_holds_a_dense_embedding(tmp_path: Path) -> None:
    case = Case()
    case()
    case.loss.epoch_end()
    case.loss.embedding.save(tmp_path / "labels.safetensors", list("abcde"))
    loaded = LabelEmbedding.load(tmp_path / "labels.safetensors")
    assert type(loaded) is DenseLabelEmbedding
    torch.testing.assert_close(loaded.soft_labels(), case.loss.embedding.soft_labels(), check_stride=False)
    case.loss.embedding.label_names = list("abcde")
    picked = case.loss.embedding.select(["c", "a"])
    torch.testing.assert_close(picked.matrix(), case.loss.embedding.matrix()[[2, 0]][:, [2, 0]])


def test_compiles_into_one_graph() -> None:
    torch._dynamo.reset()
    compiled, plain = Case(), Case()
    step = torch.compile(compiled.loss, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        got = step(compiled.hidden, compiled.head, compiled.targets).loss
        torch.testing.assert_close(got, plain())
        for case in (compiled, plain):
            case.loss.epoch_end()
    torch.testing.assert_close(compiled.loss.state_dict(), plain.loss.state_dict())


def test_the_recommended_form() -> None:
    objective = Objective.recommended(100)
    assert objective.soft_temperature == objective.tau == 2
    assert objective.terms == {"hard", "soft", "aux"}
    assert [objective.at(step).soft_weight for step in (0, 50)] == [0.5, 0.25]
    assert "soft" not in objective.at(100).terms
    assert Objective.recommended().soft_end is None
    assert isinstance(LabelEmbeddingLoss(D, V, objective=objective).embedding, RunningMeanLabelEmbedding)


def test_refusals() -> None:
    with refuses(ConfigError, "impl", "eager or auto", "'chunked'"):
        LabelEmbeddingLoss(D, V, objective=OBJECTIVE, impl="chunked")
    for embedding in (DenseLabelEmbedding(V), CompressedLabelEmbedding(V, 2)):
        with refuses(ConfigError, "embedding", "RunningMeanLabelEmbedding", type(embedding).__name__):
            LabelEmbeddingLoss(D, V, embedding, OBJECTIVE)
    with refuses(ConfigError, "embedding", "'gradient'", "RunningMeanLabelEmbedding"):
        LabelEmbeddingLoss(D, V, RunningMeanLabelEmbedding(V))
    with refuses(ConfigError, "embedding_update", "running_mean", "'often'"):
        Objective(embedding_update="often")


@pytest.mark.parametrize("init", [0.0, 1.0, 1, "zeros"])
def test_a_start_that_is_none(init: object) -> None:
    with refuses(ConfigError, "init", "between 0 and 1", repr(init)):
        DenseLabelEmbedding(V, init=init)


def test_a_start_near_one_hot() -> None:
    soft = DenseLabelEmbedding(V, init=0.1).soft_labels()
    torch.testing.assert_close(soft, 0.9 * torch.eye(V) + 0.1 / V)
