/* Divide weights by their sum: a reduction, then a loop. */
#include <taskrt_native.h>

typedef struct {
    int64_t size;
    double *numbers;
    double sum;
} weights;

static void
zero(void *acc, void *arg)
{
    (void)arg;
    *(double *)acc = 0;
}

/* Add the numbers of a part to its accumulator, which starts at zero. */
int
add_up(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    const weights *const w = arg;
    double sum = *(double *)acc;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        sum += w->numbers[i];
    }
    *(double *)acc = sum;
    return TRT_OK;
}

/* Add the sum of what comes after *acc. */
void
add(void *acc, const void *after, void *arg)
{
    (void)arg;
    *(double *)acc += *(const double *)after;
}

int
divide(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    const weights *const w = arg;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        w->numbers[i] /= w->sum;
    }
    return TRT_OK;
}

int
normalize(trt_context *ctx, void *arg)
{
    static const trt_reduction sum = {sizeof(double), zero, add_up, add};
    weights *const w = arg;
    if (!trt_is_supported(ctx)) {
        return TRT_UNSUPPORTED;
    }
    const int status = trt_parallel_reduce(ctx, 0, w->size, 0, &sum, w, &w->sum);
    return status ? status : trt_parallel_for(ctx, 0, w->size, 0, divide, w);
}
