/* What decoding does between its matrix products: see ../../tasks/seq2seq/kernels.py for what each function computes.
 *
 * fp32, n rows, one at a time. A function runs on the calling thread and allocates nothing.
 */
#include "arithmetic.h"

#define BLOCK 64   /* words per maximum, as in kernels.py */
#define STRIP 1024 /* exponentials per fp32 sum; the sum of these sums is fp64 */

static inline float sigmoid(float x)
{
    float e = power(-fabsf(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static inline float hyperbolic_tangent(float x)
{
    float e = power(-2 * fabsf(x));
    return copysignf((1 - e) / (1 + e), x);
}

/* An LSTM layer with D units. Row i has the gates from_hidden[parents[i]] + from_input[inputs[i]], in the order of
 * nn.LSTM: input, forget, candidate, output; and continues the cell state cell[parents[i]]. */
void labelemb_lstm_cell(const float *from_hidden, const int64_t *parents, const float *from_input,
                        const int64_t *inputs, const float *cell, int64_t n, int64_t D, float *restrict new_hidden,
                        float *restrict new_cell)
{
    for (int64_t row = 0; row < n; row++) {
        const float *x = from_hidden + parents[row] * 4 * D, *y = from_input + inputs[row] * 4 * D;
        const float *before = cell + parents[row] * D;
        float *hidden = new_hidden + row * D, *after = new_cell + row * D;
#pragma omp simd
        for (int64_t j = 0; j < D; j++) {
            float input = sigmoid(x[j] + y[j]);
            float forget = sigmoid(x[D + j] + y[D + j]);
            float candidate = hyperbolic_tangent(x[2 * D + j] + y[2 * D + j]);
            float output = sigmoid(x[3 * D + j] + y[3 * D + j]);
            float kept = forget * before[j] + input * candidate;
            after[j] = kept;
            hidden[j] = output * hyperbolic_tangent(kept);
        }
    }
}

/* x <- x + bias; returns the maximum. gcc vectorizes the maximum; other compilers may not, with the same result. */
static float add_bias(float *restrict x, const float *bias, ptrdiff_t n)
{
    float most = -INFINITY;
#pragma omp simd reduction(max : most)
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] += bias[i];
        most = x[i] > most ? x[i] : most;
    }
    return most;
}

static float sum_of_exponentials(const float *x, float peak, ptrdiff_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (ptrdiff_t i = 0; i < n; i++)
        sum += power(x[i] - peak);
    return sum;
}

/* logits <- logits + bias, (n, V); normalizers: (n,), log sum exp of a row; maxima: (n, ceil(V / BLOCK)) */
void labelemb_finish_logits(float *logits, const float *bias, int64_t n, int64_t V, float *normalizers, float *maxima)
{
    for (int64_t row = 0; row < n; row++, logits += V) {
        float peak = -INFINITY;
        for (ptrdiff_t i = 0; i < V; i += BLOCK) {
            float most = add_bias(logits + i, bias + i, V - i < BLOCK ? V - i : BLOCK);
            *maxima++ = most;
            peak = most > peak ? most : peak;
        }
        double sum = 0;
        for (ptrdiff_t i = 0; i < V; i += STRIP)
            sum += sum_of_exponentials(logits + i, peak, V - i < STRIP ? V - i : STRIP);
        normalizers[row] = (float)(peak + log(sum));
    }
}
