/* The row work of impl="chunked" on a CPU: see ../chunked/row_kernels.py for what each function computes.
 *
 * n rows of V logits, one row at a time: its statistics, then its gradient in place, while the row is in the L2 cache.
 * Logits are fp32 or bf16, all sums fp32 or wider. A function runs on the calling thread and allocates nothing.
 */
#include "arithmetic.h"

#define STRIP 1024 /* numbers of a row at a time: those of the four arrays in use stay in the L1 cache */

/* Fields in the order of the ctypes.Structure in ../chunked/native_kernels.py. */
typedef struct {
    void *logits;      /* (n, V), overwritten by the gradient; fp32, or bf16 as unsigned 16-bit numbers */
    int64_t bf16;      /* whether logits are bf16 */
    int64_t n, V;
    float *scratch;    /* (3, V): a bf16 row in fp32, its exponentials, its exponentials with a temperature */
    float *columns;    /* (V,), the gradient's column sums before rounding are added to it; or NULL */
    const float *bias; /* (V,), added to the logits first; or NULL */
} Matrix;

typedef struct {
    const int64_t *labels, *groups; /* (n,): y, and the row of q or of the sums that belongs to it */
    const float *weights;           /* (n,), or NULL: all 1 */
    float *log_p;                   /* (n,), written: log softmax(z)[y] */
    uint8_t *correct;               /* (n,), written: whether y is the first index of the maximum */
} Labels;

typedef struct { float peak; double log_sum; } Softmax; /* maximum m of a row; log sum exp((z - m) / tau) */

/* ---- short loops, for the compiler to vectorize ---- */

/* out <- exp((x - peak) * inverse_tau); returns their sum */
static float exponentials(const float *x, float peak, float inverse_tau, float *restrict out, ptrdiff_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (ptrdiff_t i = 0; i < n; i++) {
        float p = power((x[i] - peak) * inverse_tau);
        out[i] = p;
        sum += p;
    }
    return sum;
}

static float dot(const float *x, float peak, const float *q, ptrdiff_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (ptrdiff_t i = 0; i < n; i++)
        sum += (x[i] - peak) * q[i];
    return sum;
}

static void scale(const float *x, float factor, float *out, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = factor * x[i];
}

static void add(const float *x, float factor, float *restrict out, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] += factor * x[i];
}

/* e <- count * q - sum, 0 where e is rectified; sum <- q, where q = inverse * powers */
static void embedding_gradient(float *e, const float *powers, float *restrict sum, float inverse, float count,
                               int rectified, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        float q = inverse * powers[i], gradient = count * q - sum[i];
        float slope = rectified && !(e[i] > 0) ? 0.0f : 1.0f; /* a factor, so that NaN stays NaN */
        e[i] = gradient * slope;
        sum[i] = q;
    }
}

static void rectify(float *x, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays NaN */
}

static void widen(const uint16_t *x, float *restrict out, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

/* to the nearest bf16, ties to even; a NaN stays one, whatever bits it has */
static void narrow(const float *x, uint16_t *restrict out, ptrdiff_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        out[i] = (uint16_t)(x[i] != x[i] ? 0x7fc0 : rounded);
    }
}

/* ---- rows ---- */

static float *read_row(const Matrix *m, int64_t row)
{
    float *x = m->bf16 ? m->scratch : (float *)m->logits + row * m->V;
    if (m->bf16)
        widen((uint16_t *)m->logits + row * m->V, x, m->V);
    if (m->bias)
        add(m->bias, 1, x, m->V);
    return x;
}

static void write_row(const Matrix *m, int64_t row, const float *x)
{
    if (m->bf16)
        narrow(x, (uint16_t *)m->logits + row * m->V, m->V);
}

static ptrdiff_t strip(const Matrix *m, ptrdiff_t start)
{
    return m->V - start < STRIP ? m->V - start : STRIP;
}

/* powers <- exp((x - peak) / tau). Sums of strips are fp32 in many lanes, their sum is fp64. */
static Softmax softmax(const Matrix *m, const float *x, float peak, double tau, float *powers)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < m->V; i += STRIP)
        sum += exponentials(x + i, peak, (float)(1 / tau), powers + i, strip(m, i));
    return (Softmax){peak, log(sum)};
}

/* The softmax of row number ``row``, and what it says of its label. */
static Softmax classify(const Matrix *m, const Labels *at, int64_t row, const float *x, float *powers)
{
    int64_t y = at->labels[row];
    float own = x[y], before = largest(x, y), after = largest(x + y + 1, m->V - y - 1);
    float others = before > after ? before : after;
    Softmax p = softmax(m, x, own > others ? own : others, 1, powers);
    at->log_p[row] = (float)(own - p.peak - p.log_sum);
    int finite = p.log_sum == p.log_sum || isinf(p.peak); /* false where a logit is NaN */
    at->correct[row] = (own > before || y == 0) && own >= after && finite;
    return p;
}

static float row_weight(const Labels *at, int64_t row)
{
    return at->weights ? at->weights[row] : 1;
}

/* Terms aux and cap. sums: (u, V) or NULL; softmax(z / tau) of rows that are correct is added to their row of it.
 * The gradient is w (softmax(z) - onehot y), w = aux - cap * slope * p[y]; slope is 1 for p[y] > alpha, below that -1
 * if ``absolute``, else 0. */
void labelemb_auxiliary(const Matrix *m, const Labels *at, double aux, double cap, double alpha, int64_t absolute,
                        double tau, float *sums, int64_t trains)
{
    float *powers = m->scratch + m->V, *tempered = powers + m->V;
    for (int64_t row = 0; row < m->n; row++) {
        float *z = read_row(m, row);
        Softmax p = classify(m, at, row, z, powers);
        if (sums && at->correct[row]) {
            float *sum = sums + at->groups[row] * m->V;
            float factor = (float)exp(-softmax(m, z, p.peak, tau, tempered).log_sum);
            add(tempered, factor, sum, m->V);
        }
        if (!trains)
            continue;
        double p_y = exp(at->log_p[row]), slope = p_y > alpha ? 1 : absolute && p_y < alpha ? -1 : 0;
        float weight = (float)(aux - cap * slope * p_y) * row_weight(at, row);
        float factor = weight * (float)exp(-p.log_sum);
        for (ptrdiff_t i = 0; i < m->V; i += STRIP) {
            scale(powers + i, factor, z + i, strip(m, i));
            if (m->columns)
                add(z + i, 1, m->columns + i, strip(m, i));
        }
        z[at->labels[row]] -= weight;
        if (m->columns)
            m->columns[at->labels[row]] -= weight;
        write_row(m, row, z);
    }
}

/* Terms hard and soft. q: (u, V), softmax of the embedding's rows, or NULL; values: (n,), H(q[y], z / tau) with q.
 * The gradient is hard (softmax(z) - onehot y) + soft / tau (softmax(z / tau) - q[y]). */
void labelemb_head(const Matrix *m, const Labels *at, double hard, double soft, double tau, const float *q,
                   float *values, int64_t trains)
{
    float *powers = m->scratch + m->V, *tempered = powers + m->V;
    for (int64_t row = 0; row < m->n; row++) {
        float *z = read_row(m, row);
        Softmax p = classify(m, at, row, z, powers), soft_p = p;
        const float *target = q ? q + at->groups[row] * m->V : NULL;
        if (q && tau != 1)
            soft_p = softmax(m, z, p.peak, tau, tempered);
        double product = 0, weight = row_weight(at, row);
        float hard_factor = (float)(weight * hard * exp(-p.log_sum));
        float soft_factor = (float)(weight * soft / tau * exp(-soft_p.log_sum));
        if (tau == 1)
            hard_factor += soft_factor; /* of the same exponentials */
        for (ptrdiff_t i = 0; i < m->V; i += STRIP) {
            ptrdiff_t n = strip(m, i);
            if (q)
                product += dot(z + i, p.peak, target + i, n);
            if (!trains)
                continue;
            scale(powers + i, hard_factor, z + i, n);
            if (q && tau != 1)
                add(tempered + i, soft_factor, z + i, n);
            if (q)
                add(target + i, (float)(-weight * soft / tau), z + i, n);
            if (m->columns)
                add(z + i, 1, m->columns + i, n);
        }
        if (q)
            values[row] = (float)(soft_p.log_sum - product / tau);
        if (!trains)
            continue;
        z[at->labels[row]] -= (float)(weight * hard);
        if (m->columns)
            m->columns[at->labels[row]] -= (float)(weight * hard);
        write_row(m, row, z);
    }
}

/* Term embedding. Logits e: (u, V); sums: (u, V), replaced by q = softmax(e); counts: (u,); values: (u,), written,
 * -sum_k sums_k log q_k. The gradient is counts * q - sums, zero where e is not above 0 if e is to be ``rectified``. */
void labelemb_embedding(const Matrix *m, float *sums, const float *counts, int64_t rectified, float *values)
{
    float *powers = m->scratch + m->V;
    for (int64_t row = 0; row < m->n; row++) {
        float *e = read_row(m, row), *sum = sums + row * m->V;
        if (rectified)
            rectify(e, m->V);
        Softmax p = softmax(m, e, largest(e, m->V), 1, powers);
        double product = 0, inverse = exp(-p.log_sum);
        for (ptrdiff_t i = 0; i < m->V; i += STRIP) {
            ptrdiff_t n = strip(m, i);
            product += dot(e + i, p.peak, sum + i, n);
            embedding_gradient(e + i, powers + i, sum + i, (float)inverse, counts[row], rectified != 0, n);
            if (m->columns)
                add(e + i, 1, m->columns + i, n);
        }
        values[row] = (float)(counts[row] * p.log_sum - product);
        write_row(m, row, e);
    }
}

/* total += x, n numbers of bf16 */
void labelemb_add(const uint16_t *x, float *restrict total, int64_t n)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        float wide;
        memcpy(&wide, &bits, sizeof wide);
        total[i] += wide;
    }
}
