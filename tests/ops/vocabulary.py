"""Cases for the implementations that go chunk by chunk, and the comparison of one with the definition, ``eager``."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbeddingLoss, LossOutput, Objective

# What an implementation may lose beyond eager's own error against float64, relative to the largest entry of a tensor.
BUDGET = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 8e-3, torch.float16: 2e-3}

SEQ2SEQ = Objective(mix="sum", cap="absolute", reduction="token")
FORMS = {
    "vision": Objective.vision(),
    "seq2seq": SEQ2SEQ,
    "tempered": Objective(soft_temperature=2.0, soft_scale=2.0),
}


@dataclass(frozen=True)
class Case:
    """A batch and a loss. N rows, V labels, D hidden size, R rank (None: dense), labels drawn from the first U."""

    n: int = 23
    v: int = 37
    d: int = 8
    r: int | None = 5
    u: int = 9
    objective: Objective = field(default_factory=Objective.vision)
    ignored: tuple[int, ...] = (3,)
    bias: bool = True
    gain: float = 1.0
    num_items_in_batch: float | None = None
    embedding_rows: float = 1.0
    seed: int = 0


@dataclass
class Built:
    """The tensors of a case: logits of both heads favor the label, so that some rows are right and some are not."""

    hidden: Tensor
    targets: Tensor
    head: nn.Linear
    loss: LabelEmbeddingLoss

    @property
    def leaves(self) -> dict[str, Tensor]:
        head = {f"head.{name}": p for name, p in self.head.named_parameters()}
        return {"hidden": self.hidden, **head, **dict(self.loss.named_parameters())}

    def gradients(self) -> dict[str, Tensor | None]:
        return {name: leaf.grad for name, leaf in self.leaves.items()}


def build(case: Case, impl: str, dtype: torch.dtype = torch.float64, chunk_bytes: int | None = None) -> Built:
    generator = torch.Generator().manual_seed(case.seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    embedding = DenseLabelEmbedding(case.v) if case.r is None else CompressedLabelEmbedding(case.v, case.r)
    loss = LabelEmbeddingLoss(
        case.d,
        case.v,
        embedding,
        case.objective,
        impl=impl,  # type: ignore[arg-type]
        chunk_bytes=chunk_bytes,
        embedding_rows=case.embedding_rows,
    )
    head = nn.Linear(case.d, case.v, bias=case.bias)
    for module in (head, loss):
        module.double()
    targets = torch.randint(0, min(case.u, case.v), (case.n,), generator=generator)
    prototypes = normal(case.v, case.d)
    hidden = prototypes[targets] + 0.8 * normal(case.n, case.d)
    with torch.no_grad():
        for parameter in (*head.parameters(), *loss.parameters()):
            parameter.copy_(0.3 * normal(*parameter.shape))
        for layer in (head, loss.auxiliary):
            layer.weight.add_(0.4 * prototypes).mul_(case.gain)
    for row in case.ignored:
        if row < case.n:
            targets[row], hidden[row] = -100, float("nan")
    return Built(hidden.to(dtype).requires_grad_(), targets, head.to(dtype), loss.to(dtype))


def run(
    case: Case,
    impl: str,
    dtype: torch.dtype = torch.float64,
    autocast: torch.dtype | None = None,
    chunk_bytes: int | None = None,
) -> tuple[LossOutput, dict[str, Tensor | None]]:
    """Value and gradients; the upstream scalar is 3."""
    built = build(case, impl, dtype, chunk_bytes)
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        out = built.loss(built.hidden, built.head, built.targets, num_items_in_batch=case.num_items_in_batch)
    (3 * out.loss).backward()
    return out, built.gradients()


def assert_matches_eager(
    case: Case,
    impl: str,
    dtype: torch.dtype = torch.float64,
    autocast: torch.dtype | None = None,
    chunk_bytes: int | None = 6000,
) -> None:
    """Value, terms, counts and every gradient: no further from float64 than eager is, plus ``BUDGET``."""
    exact, eager, other = (
        run(case, "eager"),
        run(case, "eager", dtype, autocast),
        run(case, impl, dtype, autocast, chunk_bytes),
    )
    budget = BUDGET[autocast or dtype]
    assert other[0].terms.keys() == exact[0].terms.keys()
    assert other[0].correct == eager[0].correct
    assert other[0].count == exact[0].count
    assert other[0].count.dtype == other[0].correct.dtype == torch.int64
    for name in ("total", *exact[0].terms):
        true, plain, mine = (out.loss if name == "total" else out.terms[name] for out, _ in (exact, eager, other))
        assert mine.shape == ()
        assert mine.dtype == plain.dtype, name
        assert_as_close(name, true, plain, mine, budget)
    for name, true in exact[1].items():
        plain, mine = eager[1][name], other[1][name]
        assert (true is None) == (plain is None) == (mine is None), name
        if true is not None and plain is not None and mine is not None:
            assert mine.dtype == plain.dtype, name
            assert_as_close(name, true, plain, mine, budget)


def assert_as_close(name: str, true: Tensor, plain: Tensor, mine: Tensor, budget: float) -> None:
    """Fail where mine is further from true than plain is, by more than the budget (of the largest entry)."""
    true, plain, mine = (tensor.detach().double() for tensor in (true, plain, mine))
    if true.numel() == 0:
        return
    scale = true.abs().max().clamp(min=1e-3)
    own, theirs = ((tensor - true).abs().max() for tensor in (mine, plain))
    assert own <= theirs + budget * scale, f"{name}: error {own:.2e}, eager's {theirs:.2e}, scale {scale:.2e}"


GRID = {
    "odd sizes": Case(n=29, v=41, d=7, r=3, u=41),
    "dense": Case(r=None),
    "no bias": Case(bias=False),
    "one label in all": Case(n=5, v=1, u=1),
    "all rows one label": Case(u=1),
    "all rows distinct": Case(n=40, v=400, u=400, seed=4),
    "one row": Case(n=1, ignored=()),
    "rank one": Case(r=1, d=1),
    "extreme logits": Case(gain=3000.0),
    "extreme logits, dense": Case(gain=3000.0, r=None),
    "many ignored": Case(ignored=(0, 1, 4, 5, 6, 7, 22)),
    "all ignored": Case(ignored=tuple(range(23))),
    "num_items_in_batch": Case(num_items_in_batch=77.0),
}
GRID_CASES = {
    f"{name}, {form}": replace(case, objective=objective)
    for name, case in GRID.items()
    for form, objective in FORMS.items()
}
