"""Draw the rows of a batch that the auxiliary head and the label embedding learn from."""

import torch

from labelemb.terms.rows import Rows

DRAWS_PER_STEP = 4096  # more than any optimizer step has micro-batches: the draws of two steps have different seeds


class RowSampler:
    """Random rows that depend on the optimizer step and on the number of draws since then alone.

    A resumed training therefore draws the same rows, without a generator to save.
    """

    def __init__(self) -> None:
        self._step = self._draws = 0

    def start_step(self, step: int) -> None:
        """Start with the first draw of an optimizer step."""
        self._step, self._draws = step, 0

    def draw(self, rows: Rows, share: float) -> Rows:
        """Return a share of the rows, above 0 and up to 1; see ``Rows.sample``."""
        if torch.compiler.is_compiling():  # has no generators, and would compile anew at each step
            return rows.sample(share)
        self._draws += 1
        seed = (self._step * DRAWS_PER_STEP + self._draws) % 2**32  # torch's CPU generator takes 32 bits
        return rows.sample(share, torch.Generator().manual_seed(seed))
