/* trt_parallel_for with the grain that it chooses. */
#include <taskrt_native.h>

#include "loop.h"

static int
part(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const loop_data *const data = arg;
    loop_part(data->x, begin, end);
    return TRT_OK;
}

int
run(trt_context *ctx, void *arg)
{
    loop_data *const data = arg;
    int status = TRT_OK;
    for (int64_t round = 0; round < data->rounds && status == TRT_OK; round++) {
        status = trt_parallel_for(ctx, 0, data->n, 0, part, data);
    }
    return status;
}
