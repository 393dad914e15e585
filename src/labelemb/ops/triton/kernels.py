"""Triton kernels: each reads a row of logits once, in fp32 or wider whatever its dtype.

n rows, u distinct labels, V labels; rows are contiguous. WIDE is the dtype of sums, BLOCK columns are done at a time.
Temperatures and weights are compile-time constants: a launch would pass them in fp32, too coarse for fp64.
Row offsets are 64-bit: n * V passes 2^31 at V = 262,144 with 8,192 rows.
"""

import triton
import triton.language as tl


@triton.jit
def statistics_kernel(
    z, peaks, log_sums, tempered_sums, argmaxes, V,
    TEMPERED: tl.constexpr, INVERSE_TAU: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program i: row i's max, first argmax, log sum exp (z - max) and, when TEMPERED, that of (z - max) / tau.

    Every lane keeps its own running maximum and sums, so that lanes meet only once, after the last block.
    """
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    low = -1e30  # below any logit; finite, so that low - low is 0 and not NaN
    peak = tl.full([BLOCK], low, WIDE)
    total = tl.zeros([BLOCK], WIDE)
    soft = tl.zeros([BLOCK], WIDE)
    first = tl.zeros([BLOCK], tl.int32)
    for start in range(0, V, BLOCK):
        at = start + columns
        x = tl.load(z + row * V + at, mask=at < V, other=0.0).to(WIDE)
        x = tl.where(at < V, x, low)
        higher = tl.maximum(peak, x)
        first = tl.where(x > peak, at, first)
        total = total * tl.exp(peak - higher) + tl.exp(x - higher)
        if TEMPERED:
            soft = soft * tl.exp((peak - higher) * INVERSE_TAU) + tl.exp((x - higher) * INVERSE_TAU)
        peak = higher
    top = tl.max(peak, axis=0)
    tl.store(peaks + row, top)
    tl.store(argmaxes + row, tl.min(tl.where(peak == top, first, V), axis=0).to(tl.int64))
    tl.store(log_sums + row, tl.log(tl.sum(total * tl.exp(peak - top), axis=0)))
    if TEMPERED:
        tl.store(tempered_sums + row, tl.log(tl.sum(soft * tl.exp((peak - top) * INVERSE_TAU), axis=0)))


@triton.jit
def head_gradient_kernel(
    z, peaks, log_sums, tempered_sums, labels, groups, q, values, V,
    SOFT_TARGETS: tl.constexpr, TEMPERED: tl.constexpr, INVERSE_TAU: tl.constexpr, HARD: tl.constexpr,
    SOFT: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program i: z1 of row i <- HARD * (p1 - onehot) + SOFT * (softmax(z1 / tau) - q); value i <- H(q, z1 / tau).

    SOFT is the weight of the soft term over tau. The value is written with SOFT_TARGETS only.
    """
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    peak, log_sum, label = tl.load(peaks + row), tl.load(log_sums + row), tl.load(labels + row)
    dot = tl.zeros([BLOCK], WIDE)
    if SOFT_TARGETS:
        group = tl.load(groups + row)
    if TEMPERED:
        tempered_sum = tl.load(tempered_sums + row)
    for start in range(0, V, BLOCK):
        at = start + columns
        x = tl.load(z + row * V + at, mask=at < V, other=0.0).to(WIDE) - peak
        if TEMPERED:
            gradient = HARD * tl.exp(x - log_sum) + SOFT * tl.exp(x * INVERSE_TAU - tempered_sum)
        else:
            gradient = (HARD + SOFT) * tl.exp(x - log_sum)
        if SOFT_TARGETS:
            target = tl.load(q + group * V + at, mask=at < V, other=0.0)
            dot += target * x
            gradient -= SOFT * target
        gradient = tl.where(at == label, gradient - HARD, gradient)  # before the down-cast of the store
        tl.store(z + row * V + at, gradient.to(z.dtype.element_ty), mask=at < V)
    if SOFT_TARGETS:
        if TEMPERED:
            tl.store(values + row, tempered_sum - tl.sum(dot, axis=0) * INVERSE_TAU)
        else:
            tl.store(values + row, log_sum - tl.sum(dot, axis=0))


@triton.jit
def auxiliary_gradient_kernel(z, peaks, log_sums, labels, weights, V, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Program (i, j): z2 of row i, block j <- weight * (p2 - onehot)."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    weight = tl.load(weights + row)
    x = tl.load(z + row * V + at, mask=at < V, other=0.0).to(WIDE) - tl.load(peaks + row)
    gradient = weight * tl.exp(x - tl.load(log_sums + row))
    gradient = tl.where(at == tl.load(labels + row), gradient - weight, gradient)
    tl.store(z + row * V + at, gradient.to(z.dtype.element_ty), mask=at < V)


@triton.jit
def softmax_by_label_kernel(
    z,
    peaks,
    tempered_sums,
    in_mask,
    starts,
    sums,
    V,
    INVERSE_TAU: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (g, j): block j of sums[g] += softmax(z2 / tau) over the rows in the mask starts[g] .. starts[g + 1] - 1.

    One program owns each number that is written: no atomics, so that two runs agree to the last bit.
    """
    group = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.load(sums + group * V + at, mask=at < V, other=0.0)
    for row in range(tl.load(starts + group), tl.load(starts + group + 1)):
        wanted = at < V * tl.load(in_mask + row)  # no column of a row outside the mask
        x = tl.load(z + row * V + at, mask=wanted, other=0.0).to(WIDE) - tl.load(peaks + row)
        total += tl.where(wanted, tl.exp(x * INVERSE_TAU - tl.load(tempered_sums + row)), 0.0)
    tl.store(sums + group * V + at, total, mask=at < V)


@triton.jit
def embedding_gradient_kernel(
    e, peaks, log_sums, sums, counts, values, V, RECTIFIED: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr
):
    """Program g: value g <- -sum_k sums_k log q_k, row g of e <- count * q - sums, zero where a relu was, sums <- q."""
    group = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    peak, log_sum, count = tl.load(peaks + group), tl.load(log_sums + group), tl.load(counts + group)
    dot = tl.zeros([BLOCK], WIDE)
    for start in range(0, V, BLOCK):
        at = start + columns
        logits = tl.load(e + group * V + at, mask=at < V, other=0.0).to(WIDE)
        target = tl.load(sums + group * V + at, mask=at < V, other=0.0)
        log_q = logits - peak - log_sum
        q = tl.exp(log_q)
        dot += target * log_q
        gradient = count * q - target
        if RECTIFIED:
            gradient = tl.where(logits > 0, gradient, 0.0)
        tl.store(e + group * V + at, gradient.to(e.dtype.element_ty), mask=at < V)
        tl.store(sums + group * V + at, q, mask=at < V)
    tl.store(values + group, -tl.sum(dot, axis=0))
