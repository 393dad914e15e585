"""Time of matrix products alone: at the rate of one product timed in the same run, or the same products again."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measure import Timing
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus


class Product:
    """The matrix product of the head for 640 rows: 64 sentences with a beam of 10."""

    def __init__(self, config: Seq2SeqConfig, corpus: Corpus) -> None:
        width, labels = config.hidden_size, len(corpus.tgt_vocab)
        self.operations = 2 * 640 * width * labels
        self.hidden, self.weight = torch.randn(640, width), torch.randn(width, labels)
        self.out = torch.empty(640, labels)

    def __call__(self) -> None:
        """Compute the product."""
        torch.mm(self.hidden, self.weight, out=self.out)

    def rate(self, timing: Timing) -> float:
        """Return operations per second."""
        return self.operations / timing.median


class RecordedProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes the matrix products of a call again, with the same operands in the same order, and nothing else.

    Products of batches of matrices (attention over the source) are left out.

    Args:
        call: Function without gradients.

    Attributes:
        operations: Operations of the products.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self.products: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        with self:
            call()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation; record it if it is a matrix product."""
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.products.append((func, args))
            rows, inner = args[-2].shape
            self.operations += 2 * rows * inner * args[-1].shape[1]
        return func(*args, **(kwargs or {}))

    def __call__(self) -> None:
        """Compute the products."""
        for func, args in self.products:
            func(*args)
