"""TritonRowKernels: launches the Triton kernels behind the interface ``RowKernels``.

n rows and u distinct labels of a chunk, V labels.
"""

import os
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, Logits, RowLabels, RowResults
from labelemb.ops.triton.kernels import (
    auxiliary_gradient_kernel,
    embedding_gradient_kernel,
    head_gradient_kernel,
    softmax_by_label_kernel,
    statistics_kernel,
)

MAX_BLOCK = 4096  # columns of a block; 16 per thread with 8 warps: registers hold them and their running sums
WARPS = 8


class TritonRowKernels:
    """Every row is read once for its statistics and once for its gradient.

    Runs on CUDA devices, and on a CPU when TRITON_INTERPRET=1 was set before triton was imported (slow, for tests).
    """

    adds_bias = False

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """Prepare the launches.

        Args:
            num_labels: V.
            dtype: Dtype of the sums, float32 or float64.
            device: A CUDA device.

        Raises:
            ConfigError: For a device that Triton does not compile for.
        """
        if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            raise ConfigError(
                "impl",
                "a CUDA device for 'fused'",
                device.type,
                hint="impl='chunked' runs on any device, 'auto' chooses",
            )
        self._width, self._dtype = num_labels, dtype
        self._options = {
            "WIDE": tl.float64 if dtype == torch.float64 else tl.float32,
            "BLOCK": min(MAX_BLOCK, triton.next_power_of_2(num_labels)),
            "num_warps": WARPS,
        }

    def auxiliary(self, logits: Logits, at: RowLabels, terms: AuxiliaryTerms, sums: Tensor | None) -> RowResults:
        """See RowKernels."""
        z = logits.values
        stats, results = self._classify(z, at, None if sums is None else terms.tau)
        if sums is not None:
            starts = torch.searchsorted(at.group, torch.arange(len(sums) + 1, device=z.device))
            softmax_by_label_kernel[(len(sums), self._columns)](
                z, stats.peak, stats.tempered_sum, results.correct.to(torch.int32), starts, sums, self._width,
                INVERSE_TAU=1 / terms.tau, **self._options,
            )  # fmt: skip
        if logits.trains:
            weight = terms.weight(results.log_p)
            weight = weight if at.weights is None else weight * at.weights
            auxiliary_gradient_kernel[(len(z), self._columns)](
                z, stats.peak, stats.log_sum, at.labels, weight, self._width, **self._options
            )
            _add_columns(logits)
        return results

    def head(self, logits: Logits, at: RowLabels, terms: HeadTerms, q: Tensor | None) -> RowResults:
        """See RowKernels."""
        t = terms.temperature if q is not None else 1.0
        z = logits.values
        stats, results = self._classify(z, at, t if t != 1 else None)
        if not logits.trains and q is None:
            return results
        values = torch.empty_like(results.log_p)
        head_gradient_kernel[(len(z),)](
            z, stats.peak, stats.log_sum, stats.tempered_sum, at.labels, at.group, z if q is None else q, values,
            self._width, SOFT_TARGETS=q is not None, TEMPERED=t != 1, INVERSE_TAU=1 / t, HARD=terms.hard,
            SOFT=0.0 if q is None else terms.soft / t, **self._options,
        )  # fmt: skip
        if logits.trains and at.weights is not None:
            z.mul_(at.weights[:, None])
        if logits.trains:
            _add_columns(logits)
        return results if q is None else results._replace(soft=values)

    def embedding(self, logits: Logits, sums: Tensor, counts: Tensor, rectified: bool) -> Tensor:
        """See RowKernels."""
        e = logits.values
        stats, values = self._statistics(e, None), torch.empty_like(counts)
        embedding_gradient_kernel[(len(sums),)](
            e, stats.peak, stats.log_sum, sums, counts, values, self._width, RECTIFIED=rectified, **self._options
        )
        _add_columns(logits)
        return values

    def _classify(self, z: Tensor, at: RowLabels, tau: float | None) -> tuple["_Statistics", RowResults]:
        stats = self._statistics(z, tau)
        own = z.gather(1, at.labels[:, None])[:, 0].to(self._dtype)
        return stats, RowResults(own - stats.peak - stats.log_sum, stats.argmax == at.labels)

    def _statistics(self, z: Tensor, tau: float | None) -> "_Statistics":
        peak, log_sum, tempered = torch.empty(3, len(z), dtype=self._dtype, device=z.device).unbind()
        argmax = torch.empty(len(z), dtype=torch.int64, device=z.device)
        statistics_kernel[(len(z),)](
            z, peak, log_sum, tempered, argmax, self._width,
            TEMPERED=tau is not None, INVERSE_TAU=1 / (tau or 1.0), **self._options,
        )  # fmt: skip
        return _Statistics(peak, log_sum, tempered, argmax)

    @property
    def _columns(self) -> int:
        return triton.cdiv(self._width, self._options["BLOCK"])  # type: ignore[no-any-return]


class _Statistics(NamedTuple):
    """Of each row of logits z, shape ``(n,)``: max, log sum exp(z - max), that of (z - max) / tau, first argmax."""

    peak: Tensor
    log_sum: Tensor
    tempered_sum: Tensor
    argmax: Tensor


def _add_columns(gradient: Logits) -> None:
    if gradient.columns is not None:
        gradient.columns.add_(gradient.values.sum(0, dtype=gradient.columns.dtype))
