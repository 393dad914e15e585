"""TritonRowKernels: launches the Triton kernels behind the interface ``RowKernels``.

n rows and u distinct labels of a chunk, V labels.
"""

import os
from collections.abc import Iterator
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.ops.chunked.row_kernels import BlockLabels, Statistics
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

    def blocks(self, height: int) -> Iterator[slice]:
        """See RowKernels: all rows at once, a launch has a program for each."""
        return iter([slice(0, height)])

    def statistics(self, z: Tensor, labels: Tensor | None = None, tau: float | None = None) -> Statistics:
        """See RowKernels."""
        peak, log_sum, tempered = torch.empty(3, len(z), dtype=self._dtype, device=z.device).unbind()
        argmax = torch.empty(len(z), dtype=torch.int64, device=z.device)
        statistics_kernel[(len(z),)](
            z, peak, log_sum, tempered, argmax, self._width,
            TEMPERED=tau is not None, INVERSE_TAU=1 / (tau or 1.0), **self._options,
        )  # fmt: skip
        stats = Statistics(peak, log_sum)
        if tau is not None:
            stats = replace(stats, tempered_log_sum=tempered, tau=tau)
        if labels is None:
            return stats
        own = z.gather(1, labels[:, None])[:, 0].to(self._dtype)
        return replace(stats, log_p=own - peak - log_sum, correct=argmax == labels)

    def head_gradient(
        self, z: Tensor, stats: Statistics, at: BlockLabels, q: Tensor | None, weights: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        values, tempered = torch.zeros_like(stats.peak), stats.tempered_log_sum
        head_gradient_kernel[(len(z),)](
            z, stats.peak, stats.log_sum, stats.log_sum if tempered is None else tempered, at.labels, at.group,
            z if q is None else q, values, self._width,
            SOFT_TARGETS=q is not None, TEMPERED=tempered is not None, INVERSE_TAU=1 / stats.tau,
            HARD=weights[0], SOFT=weights[1] / stats.tau, **self._options,
        )  # fmt: skip
        return values, z

    def auxiliary_gradient(self, z: Tensor, stats: Statistics, at: BlockLabels, weight: Tensor) -> Tensor:
        """See RowKernels."""
        auxiliary_gradient_kernel[(len(z), self._columns)](
            z, stats.peak, stats.log_sum, at.labels, weight, self._width, **self._options
        )
        return z

    def add_softmax_by_label(self, z: Tensor, stats: Statistics, at: BlockLabels, mask: Tensor, sums: Tensor) -> None:
        """See RowKernels."""
        starts = torch.searchsorted(at.group, torch.arange(len(sums) + 1, device=z.device))
        softmax_by_label_kernel[(len(sums), self._columns)](
            z, stats.peak, stats.tempered_log_sum, mask.to(torch.int32), starts, sums, self._width,
            INVERSE_TAU=1 / stats.tau, **self._options,
        )  # fmt: skip

    def embedding_gradient(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool) -> tuple[Tensor, Tensor]:
        """See RowKernels."""
        stats, values = self.statistics(e), torch.empty_like(counts)
        embedding_gradient_kernel[(len(sums),)](
            e, stats.peak, stats.log_sum, sums, counts, values, self._width, RECTIFIED=rectified, **self._options
        )
        return values, e

    @property
    def _columns(self) -> int:
        return triton.cdiv(self._width, self._options["BLOCK"])  # type: ignore[no-any-return]
