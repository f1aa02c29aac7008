/* Filling: whole lines of memory at a time where items lie side by side, otherwise a
 * loop, which the compiler turns into one for each size of items. */
#include "kernels/fill.h"

#include <string.h>

enum {
    PART = 1 << 18, /* bytes that a thread sets at a time */
    LINE = 64,
};

static void
fill_line(char *target, size_t length, const unsigned char *value, size_t size)
{
    unsigned char line[LINE];
    for (size_t i = 0; i < LINE; i += size) {
        memcpy(line + i, value, size);
    }
    const size_t lines = length / LINE;
    for (size_t i = 0; i < lines; i++) {
        memcpy(target + i * LINE, line, LINE);
    }
    if (length % LINE > 0) {
        memcpy(target + lines * LINE, line, length % LINE);
    }
}

/* `size` is a constant at each call. */
static inline void
fill(const trt_fill *f, size_t begin, size_t end, size_t size)
{
    const ptrdiff_t stride = f->target.stride;
    char *const first = f->target.first + (ptrdiff_t)begin * stride;
    if (stride == (ptrdiff_t)size) {
        fill_line(first, (end - begin) * size, f->value, size);
        return;
    }
    unsigned char value[sizeof f->value]; /* a copy, which the loop cannot overwrite */
    memcpy(value, f->value, size);
    for (size_t i = 0; i < end - begin; i++) {
        memcpy(first + (ptrdiff_t)i * stride, value, size);
    }
}

static void
fill_bytes(const trt_fill *f, size_t begin, size_t end)
{
    fill(f, begin, end, 1);
}

static void
fill_pairs(const trt_fill *f, size_t begin, size_t end)
{
    fill(f, begin, end, 2);
}

static void
fill_words(const trt_fill *f, size_t begin, size_t end)
{
    fill(f, begin, end, 4);
}

static void
fill_double_words(const trt_fill *f, size_t begin, size_t end)
{
    fill(f, begin, end, 8);
}

const trt_fill_kernel trt_fill_kernels[TRT_DTYPES] = {
    [TRT_INT8] = fill_bytes,          [TRT_UINT8] = fill_bytes,
    [TRT_INT16] = fill_pairs,         [TRT_UINT16] = fill_pairs,
    [TRT_INT32] = fill_words,         [TRT_UINT32] = fill_words,
    [TRT_FLOAT32] = fill_words,       [TRT_INT64] = fill_double_words,
    [TRT_UINT64] = fill_double_words, [TRT_FLOAT64] = fill_double_words,
};

static int
fill_part(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const trt_fill *const f = arg;
    trt_fill_kernels[f->target.dtype](f, (size_t)begin, (size_t)end);
    return TRT_OK;
}

int
trt_fill_run(trt_context *ctx, void *fill)
{
    const trt_items *const t = &((const trt_fill *)fill)->target;
    const int64_t grain = PART / (int64_t)trt_dtype_size(t->dtype);
    return trt_parallel_for(ctx, 0, (int64_t)t->length, grain, fill_part, fill);
}
