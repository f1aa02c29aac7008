/* Sums. Items are added in parts of fixed length, each to a sum of its own, and those
 * are added as a tree that depends on the length alone, by whichever thread.
 *
 * Within a part, floating-point numbers are added pairwise (Higham, SIAM J. Sci.
 * Comput. 14, 1993, and so does NumPy), in lanes that the compiler turns into vectors.
 * Sums of parts are added with what rounding takes away from each addition, which is
 * added to the end result: TwoSum of Knuth, The Art of Computer Programming 2, 4.2.2;
 * Sum2 of Ogita, Rump and Oishi, SIAM J. Sci. Comput. 26, 2005. */
#include "kernels/sum.h"

#include <math.h>
#include <string.h>

enum {
    /* Items of a part: a few microseconds. More where parts would be too many. */
    PART = 1 << 13,
    PARTS_MAX = 1 << 16,
    /* Sums that go on side by side, so that no addition waits for the one before. */
    LANES = 8,
    /* Items that are added to the lanes one after the other. */
    BLOCK = 256,
};

static void
add_float(trt_total *total, double x)
{
    const double sum = total->sum + x;
    const double part = sum - total->sum;
    total->rest += (total->sum - (sum - part)) + (x - part);
    total->sum = sum;
}

#define TEMPLATE "kernels/sum_template.h"
#include "kernels/dtype_template.h"

const trt_sum_kernel trt_sum_kernels[TRT_DTYPES] = {
#define ROW(constant, type, name) [constant] = sum_##name,
    TRT_EACH_DTYPE(ROW)
#undef ROW
};

double
trt_total_float(const trt_total *total)
{
    if (isnan(total->sum)) {
        return (double)NAN; /* which one, is up to the compiler */
    }
    /* Of an infinite sum, the rest is not a number. */
    return isinf(total->sum) ? total->sum : total->sum + total->rest;
}

static void
start(void *acc, void *arg)
{
    (void)arg;
    memset(acc, 0, sizeof(trt_total));
}

static int
fold(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    (void)ctx;
    const trt_sum *const s = arg;
    trt_sum_kernels[s->items.dtype](&s->items, (size_t)begin, (size_t)end, acc);
    return TRT_OK;
}

static void
combine(void *acc, const void *after, void *arg)
{
    (void)arg;
    trt_total *const total = acc;
    const trt_total *const part = after;
    total->integer += part->integer;
    add_float(total, part->sum);
    total->rest += part->rest;
}

/* Depends on the length alone, and so do sums. */
static size_t
part_length(size_t length)
{
    size_t part = PART;
    while (length / part >= PARTS_MAX) {
        part *= 2;
    }
    return part;
}

int
trt_sum_run(trt_context *ctx, void *sum)
{
    trt_sum *const s = sum;
    static const trt_reduction how = {sizeof(trt_total), start, fold, combine};
    const size_t length = s->items.length;
    return trt_parallel_reduce(ctx, 0, (int64_t)length, (int64_t)part_length(length),
                               &how, s, &s->total);
}

/* In the order of the reduction: see loops.c. */
static void
sum_parts(trt_sum *s, size_t first, size_t last, size_t part, trt_total *total)
{
    if (last - first == 1) {
        const size_t begin = first * part, rest = s->items.length - begin;
        start(total, NULL);
        fold(NULL, (int64_t)begin, (int64_t)(begin + (rest < part ? rest : part)),
             total, s);
        return;
    }
    const size_t middle = first + (last - first) / 2;
    trt_total right;
    sum_parts(s, first, middle, part, total);
    sum_parts(s, middle, last, part, &right);
    combine(total, &right, NULL);
}

void
trt_sum_here(trt_sum *s)
{
    const size_t length = s->items.length, part = part_length(length);
    start(&s->total, NULL);
    if (length > 0) {
        sum_parts(s, 0, (length + part - 1) / part, part, &s->total);
    }
}
