/* Copying: memcpy, or a loop, which the compiler turns into one for each size of items.
 */
#include "kernels/copy.h"

#include <string.h>

enum {
    PART = 1 << 18, /* bytes that a thread copies at a time */
};

/* `size` is a constant at each call. */
static inline void
copy(const trt_copy *c, size_t begin, size_t end, size_t size)
{
    const ptrdiff_t from = c->source.stride, to = c->target.stride;
    const char *const source = c->source.first + (ptrdiff_t)begin * from;
    char *const target = c->target.first + (ptrdiff_t)begin * to;
    const size_t count = end - begin;
    if (from == (ptrdiff_t)size && to == (ptrdiff_t)size) {
        if (count > 0) {
            memcpy(target, source, count * size);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(target + (ptrdiff_t)i * to, source + (ptrdiff_t)i * from, size);
    }
}

static void
copy_bytes(const trt_copy *c, size_t begin, size_t end)
{
    copy(c, begin, end, 1);
}

static void
copy_pairs(const trt_copy *c, size_t begin, size_t end)
{
    copy(c, begin, end, 2);
}

static void
copy_words(const trt_copy *c, size_t begin, size_t end)
{
    copy(c, begin, end, 4);
}

static void
copy_double_words(const trt_copy *c, size_t begin, size_t end)
{
    copy(c, begin, end, 8);
}

const trt_copy_kernel trt_copy_kernels[TRT_DTYPES] = {
    [TRT_INT8] = copy_bytes,          [TRT_UINT8] = copy_bytes,
    [TRT_INT16] = copy_pairs,         [TRT_UINT16] = copy_pairs,
    [TRT_INT32] = copy_words,         [TRT_UINT32] = copy_words,
    [TRT_FLOAT32] = copy_words,       [TRT_INT64] = copy_double_words,
    [TRT_UINT64] = copy_double_words, [TRT_FLOAT64] = copy_double_words,
};

static int
copy_part(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const trt_copy *const c = arg;
    trt_copy_kernels[c->source.dtype](c, (size_t)begin, (size_t)end);
    return TRT_OK;
}

int
trt_copy_run(trt_context *ctx, void *copy)
{
    const trt_items *const s = &((const trt_copy *)copy)->source;
    const int64_t grain = PART / (int64_t)trt_dtype_size(s->dtype);
    return trt_parallel_for(ctx, 0, (int64_t)s->length, grain, copy_part, copy);
}
