"""The candidates of the search: one loss module per form, and their options by name.

The forms are written out here, not taken from the library, so that forms which are not in the library can be compared.
N rows, V labels; z logits of the head, y labels; CE is cross entropy with one-hot targets.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.functional import cross_entropy

Options = dict[str, Any]
Place = tuple[Tensor, float, float]  # sample numbers (N,), progress of the run 0..1, epochs done / epochs


class Candidate(nn.Module):
    """A loss that may note something at the end of an epoch."""

    def epoch_end(self) -> None:
        """Nothing to note."""


class Smoothing(Candidate):
    """Label smoothing, constant or with a strength that rises or falls linearly (mean strength ``eps``)."""

    def __init__(self, eps: float, plan: str = "constant", **_: Any) -> None:
        super().__init__()
        self.eps, self.plan = eps, plan

    def forward(self, hidden: Tensor, head: nn.Module, y: Tensor, place: Place) -> Tensor:
        """Return the mean over rows."""
        log_p, progress = F.log_softmax(head(hidden).float(), 1), place[1]
        eps = self.eps * {"constant": 1.0, "rise": 2 * progress, "fall": 2 * (1 - progress)}[self.plan]
        value: Tensor = ((1 - eps) * cross_entropy(log_p, y) - eps * log_p.mean(1)).mean()
        return value


class Margin(Candidate):
    """MaxSup (``suppression``) or margin smoothing (``weight``, ``margin``) added to CE."""

    def __init__(self, suppression: float = 0.0, weight: float = 0.0, margin: float = 10.0, **_: Any) -> None:
        super().__init__()
        self.suppression, self.weight, self.margin = suppression, weight, margin

    def forward(self, hidden: Tensor, head: nn.Module, y: Tensor, place: Place) -> Tensor:
        """Return the mean over rows."""
        z = head(hidden).float()
        value = cross_entropy(F.log_softmax(z, 1), y)
        value = value + self.suppression * (1 + place[1]) * (z.amax(1) - z.mean(1))
        value = value + self.weight * F.relu(z.amax(1, keepdim=True) - z - self.margin).mean(1)
        return torch.mean(value)


class PastPrediction(Candidate):
    """PS-KD: the model's prediction of the same row an epoch ago, with weight ``weight`` * epoch / epochs."""

    def __init__(self, weight: float, num_labels: int, rows: int, **_: Any) -> None:
        super().__init__()
        self.weight, self.past = weight, torch.zeros(rows, num_labels)

    def forward(self, hidden: Tensor, head: nn.Module, y: Tensor, place: Place) -> Tensor:
        """Return the mean over rows."""
        log_p, past, a = F.log_softmax(head(hidden).float(), 1), self.past[place[0]], self.weight * place[2]
        target = torch.where(past.sum(1, keepdim=True) > 0, past, F.one_hot(y, past.shape[1]).float())
        self.past[place[0]] = log_p.detach().exp()
        return ((1 - a) * cross_entropy(log_p, y) - a * (target * log_p).sum(1)).mean()


class SoftLabels(Candidate):
    """hard * CE + soft * scale * H(q[y], softmax(z / t)) with q learned in one of three ways.

    Args:
        source: "gradient": softmax(E) as published, E by gradient steps from the auxiliary head; "head" or "auxiliary":
            mean of softmax(logits / t) over the last epoch's rows that this head predicts correctly.
        t, scale: Temperature of the soft term and its factor.
        tau: Temperature of the auxiliary head as teacher of E.
        hard, soft: Weights. fill: whether a label without q gives its soft weight to CE.
        decay: Share of the soft weight that is gone at the end of the run; CE gets it.
        cap: Whether the auxiliary head's confidence is capped at 0.9 (a sum over rows, as published).
        others_only: Compare how the mass beside the label is spread, leaving the label's own mass to CE; "mass": times
            that mass.
        init: eps of a near one-hot initialization of E; None: the identity.
    """

    def __init__(self, hidden_size: int, num_labels: int, **options: Any) -> None:
        super().__init__()
        defaults: Options = {"source": "gradient", "t": 1.0, "scale": 1.0, "tau": 2.0, "hard": 0.5, "soft": 0.5}
        defaults |= {"fill": True, "decay": 0.0, "cap": True, "others_only": None, "init": None}
        self.options = o = defaults | options
        self.num_labels = num_labels
        if o["source"] != "head":
            self.auxiliary = nn.Linear(hidden_size, num_labels)
        if o["source"] == "gradient":
            eps = o["init"]
            start = torch.eye(num_labels)
            self.E = nn.Parameter(start if eps is None else torch.log((1 - eps) * start + eps / num_labels))
        self.soft_labels, self.sums = torch.zeros(2, num_labels, num_labels)
        self.counts = torch.zeros(num_labels)

    def forward(self, hidden: Tensor, head: nn.Module, y: Tensor, place: Place) -> Tensor:
        """Return the mean over rows, and the auxiliary head's own terms."""
        o, z = self.options, head(hidden).float()
        hard = cross_entropy(F.log_softmax(z, 1), y)
        q, extra = self._targets(hidden, z, y)
        soft = self._soft_term(z, y, q)
        moved = o["soft"] * o["decay"] * place[1]
        missing = (q.sum(1) == 0) * o["soft"] * o["fill"]
        hard_weight = o["hard"] + moved + missing * (1 - moved / o["soft"])
        return torch.mean(hard_weight * hard + (o["soft"] - moved) * o["scale"] * soft) + extra

    def _targets(self, hidden: Tensor, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return q[y] ``(N, V)`` and the terms that train what it comes from."""
        o = self.options
        if o["source"] == "head":
            self._add(z, y)
            return self.soft_labels[y], torch.zeros(())
        z2 = self.auxiliary(hidden.detach()).float()
        log_p2 = F.log_softmax(z2, 1)
        extra = cross_entropy(log_p2, y).mean()
        if o["cap"]:
            extra = extra + F.relu((-cross_entropy(log_p2, y)).exp() - 0.9).sum()
        if o["source"] == "auxiliary":
            self._add(z2, y)
            return self.soft_labels[y], extra
        log_q, correct = F.log_softmax(self.E[y], 1), z2.argmax(1) == y
        learned = -(F.softmax(z2.detach() / o["tau"], 1) * log_q).sum(1)
        return log_q.exp().detach(), extra + (learned * correct).sum() / (correct.sum() + 1e-8)

    def _soft_term(self, z: Tensor, y: Tensor, q: Tensor) -> Tensor:
        kind, log_p = self.options["others_only"], F.log_softmax(z / self.options["t"], 1)
        if not kind:
            return -(q * log_p).sum(1)
        own = F.one_hot(y, self.num_labels).bool()
        log_others = F.log_softmax((z / self.options["t"]).masked_fill(own, -1e9), 1).masked_fill(own, 0.0)
        others = q.masked_fill(own, 0.0)
        value = -(others / others.sum(1, keepdim=True).clamp(min=1e-12) * log_others).sum(1)
        return value * (1 - log_p.detach().gather(1, y[:, None])[:, 0].exp()) if kind == "mass" else value

    @torch.no_grad()
    def _add(self, z: Tensor, y: Tensor) -> None:
        correct = (z.argmax(1) == y).float()
        self.sums.index_add_(0, y, F.softmax(z / self.options["t"], 1) * correct[:, None])
        self.counts.index_add_(0, y, correct)

    def epoch_end(self) -> None:
        """Make the running means of the epoch; a label without a correct row has none."""
        self.soft_labels = self.sums / self.counts.clamp(min=1)[:, None]
        self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)


def _consistent(source: str, t: float, scale: float, **more: Any) -> tuple[type[Candidate], Options]:
    return SoftLabels, {"source": source, "t": t, "scale": scale, "tau": t, **more}


ADDED = {"hard": 1.0, "soft": 0.5, "fill": False}
CANDIDATES: dict[str, tuple[type[Candidate], Options]] = {
    "ce": (Smoothing, {"eps": 0.0}),
    **{f"ls {eps}": (Smoothing, {"eps": eps}) for eps in (0.05, 0.1, 0.2, 0.3, 0.5)},
    **{f"ls {eps} {plan}": (Smoothing, {"eps": eps, "plan": plan}) for plan in ("rise", "fall") for eps in (0.1, 0.2)},
    **{f"ols {w}": _consistent("head", 1.0, 1.0, hard=w, soft=1 - w, fill=False) for w in (0.3, 0.5, 0.7)},
    **{f"ps_kd {a}": (PastPrediction, {"weight": a}) for a in (0.5, 0.8)},
    **{f"max_sup {a}": (Margin, {"suppression": a}) for a in (0.1, 0.2)},
    **{f"mbls m{m}": (Margin, {"weight": 0.1, "margin": float(m)}) for m in (10, 6)},
    "published": (SoftLabels, {}),
    "published tau1": (SoftLabels, {"tau": 1.0}),
    **{f"consistent t{t} w{w}": _consistent("gradient", float(t), float(w)) for t in (2, 4) for w in (1, t, t * t)},
    "consistent t2 w4 fade1.0": _consistent("gradient", 2.0, 4.0, decay=1.0),
    **{
        f"fixed own t{t} w{w}": _consistent("head", float(t), float(w))
        for t, w in ((1, 1), (2, 2), (2, 4), (4, 4), (4, 16))
    },
    **{
        f"fixed own t{t} w{w} fade{f}": _consistent("head", float(t), float(w), decay=f)
        for t, w in ((1, 1), (2, 4), (2, 8), (4, 16), (4, 32))
        for f in (0.75, 1.0)
    },
    **{
        f"fixed own t{t} w{w} hard1": _consistent("head", float(t), float(w), **ADDED)
        for t, w in ((2, 1), (2, 2), (2, 4), (2, 8), (4, 4), (4, 8), (4, 16))
    },
    "fixed own t2 w4 soft0.8 fade1": _consistent("head", 2.0, 4.0, hard=0.2, soft=0.8, decay=1.0),
    "fixed own t1 w1 soft0.8 fade1": _consistent("head", 1.0, 1.0, hard=0.2, soft=0.8, decay=1.0),
    "fixed own t1 w1 soft0.7": _consistent("head", 1.0, 1.0, hard=0.3, soft=0.7),
    **{
        f"{name} own t{t} w{w}": _consistent("head", float(t), float(w), others_only=kind, **ADDED)
        for name, kind in (("off", "all"), ("offmass", "mass"))
        for t, w in ((1, 1), (2, 1), (2, 2), (2, 4), (4, 4), (4, 16))
    },
    "fixed aux t2 w4": _consistent("auxiliary", 2.0, 4.0),
    "fixed aux t2 w4 fade1.0": _consistent("auxiliary", 2.0, 4.0, decay=1.0),
    "fixed aux nocap t2 w4 fade1.0": _consistent("auxiliary", 2.0, 4.0, decay=1.0, cap=False),
}
