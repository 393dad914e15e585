"""Objective: the frozen choices of the label-embedding loss. Both published forms are made of it."""

from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal, get_args

from labelemb.errors import Choices, ConfigError, check_at_least_one
from labelemb.functional import TERMS

Mix = Literal["convex", "sum"]
Cap = Literal["hinge", "absolute"]
Reduction = Literal["mean", "token"]


@dataclass(frozen=True)
class Objective:
    """How the five terms (``terms.py``) make one number. Source: arXiv 1710.10393, its two published programs.

    tau         temperature of the auxiliary head as the embedding's teacher, > 0
    alpha       confidence cap of the auxiliary head, 0..1
    beta        weight of the hard term in a convex mix, 0..1
    mix         "convex": beta * hard + (1 - beta) * soft;  "sum": hard + soft
    cap         "hinge": relu(p2[y] - alpha);  "absolute": |p2[y] - alpha|
    reduction   "mean": hard, soft, aux are means over rows, the embedding term is a mean over the rows that the
                auxiliary head gets right, the cap is a SUM over rows (the published vision program);
                "token": every term is a sum over rows divided by the number of rows (the published seq2seq program)
    soft_start  optimiser steps before the soft term is switched on; the loss counts steps by ``loss.step()``
    soft_end    optimiser step at which the soft term has faded out, for a convex mix: from soft_start on its weight
                falls evenly to 0, and the hard term gets what it loses; it may lie beyond the end of the run; None: the
                weight stays, as published
    terms       names of the terms in use; a name left out switches that term off and leaves the weights of the others

    Raises ConfigError that names every value out of its range.
    """

    tau: float = 2.0
    alpha: float = 0.9
    beta: float = 0.5
    mix: Mix = "convex"
    cap: Cap = "hinge"
    reduction: Reduction = "mean"
    soft_start: int = 0
    soft_end: int | None = None
    terms: frozenset[str] = frozenset(TERMS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", frozenset(self.terms))
        unknown = sorted(map(str, self.terms - set(TERMS)))
        for name in ("tau", "alpha", "beta", "soft_start", "soft_end"):
            value = getattr(self, name)
            if not (isinstance(value, Real) or (name == "soft_end" and value is None)):
                raise ConfigError(name, "a number", repr(value))
        with Choices() as choices:
            choices.expect(0 < self.tau < float("inf"), "tau", "a temperature > 0", self.tau)
            choices.expect(0 <= self.alpha <= 1, "alpha", "a number from 0 to 1", self.alpha)
            choices.expect(0 <= self.beta <= 1, "beta", "a number from 0 to 1", self.beta)
            choices.expect_one_of("mix", self.mix, get_args(Mix))
            choices.expect_one_of("cap", self.cap, get_args(Cap))
            choices.expect_one_of("reduction", self.reduction, get_args(Reduction))
            choices.expect(self.soft_start >= 0, "soft_start", "a number of steps >= 0", self.soft_start)
            end = self.soft_end
            choices.expect(end is None or end > self.soft_start, "soft_end", "a step after soft_start, or none", end)
            choices.expect(end is None or self.mix == "convex", "soft_end", "none in a mix that is not convex", end)
            choices.expect(not unknown, "terms", f"names out of {', '.join(TERMS)}", ", ".join(unknown))

    @classmethod
    def vision(cls) -> "Objective":
        """Return the form published for CIFAR and MNIST."""
        return cls()

    @classmethod
    def seq2seq(cls) -> "Objective":
        """Return the form published for LCSTS and IWSLT15 en-vi; its soft term waits for 20,000 ``loss.step()``."""
        return cls(mix="sum", cap="absolute", reduction="token", soft_start=20_000)

    @classmethod
    def low_data(cls, steps: int) -> "Objective":
        """Return the published vision form with a soft term that starts with all the weight and ends with a quarter.

        For nets that over-fit. Chosen on held-out images: fewer errors than well-tuned label smoothing on digits and on
        MNIST with 100 images a label. On all of CIFAR-100, where a small net under-fits in 12 epochs, 1.4 points more
        than one-hot (docs/search.md).

        steps  optimiser steps of the whole run; the loss counts them by ``loss.step()``, without which nothing fades
               and the hard term stays off

        Raises ConfigError.
        """
        return cls(beta=0.0).with_soft_decay(0.75, steps)

    def with_soft_decay(self, share: float, steps: int) -> "Objective":
        """Return the same objective whose soft term loses that share of its weight, above 0 to 1, by the end of a run.

        steps  optimiser steps of the whole run, >= 1, counted by ``loss.step()``

        >>> Objective(beta=0.0).with_soft_decay(0.5, 100).at(100).soft_weight
        0.5

        Raises ConfigError.
        """
        if not 0 < share <= 1:
            raise ConfigError("share", "a number above 0 and up to 1", share)
        check_at_least_one("steps", steps)
        left = max(steps - self.soft_start, 1)  # a run that ends before its soft_start is for others to refuse
        return replace(self, soft_end=self.soft_start + round(left / share))

    def at(self, step: int) -> "Objective":
        """Return the objective of an optimiser step, counted from 0: what ``soft_start`` and ``soft_end`` make of it.

        >>> [Objective(soft_end=4).at(step).hard_weight for step in (0, 1, 2)]
        [0.5, 0.625, 0.75]
        """
        if step < self.soft_start:
            return self.without("soft")
        if self.soft_end is None:
            return self
        if step >= self.soft_end:
            return replace(self, beta=1.0, soft_end=None).without("soft")
        left = (self.soft_end - step) / (self.soft_end - self.soft_start)
        return replace(self, beta=1 - (1 - self.beta) * left)

    def without(self, *names: str) -> "Objective":
        """Return the same objective with the named terms switched off."""
        return replace(self, terms=self.terms - set(names))

    @property
    def hard_weight(self) -> float:
        """Return the factor of the hard term."""
        return self.beta if self.mix == "convex" else 1.0

    @property
    def soft_weight(self) -> float:
        """Return the factor of the soft term once it is on."""
        return 1.0 - self.beta if self.mix == "convex" else 1.0
