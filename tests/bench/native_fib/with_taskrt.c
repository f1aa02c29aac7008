/* A child a level. */
#include <taskrt_native.h>

#include "fib.h"

int
run(trt_context *ctx, void *arg)
{
    fib_data *const data = arg;
    if (data->n < 2) {
        data->result = data->n;
        return TRT_OK;
    }
    fib_data a = {data->n - 1, 0}, b = {data->n - 2, 0};
    trt_frame child;
    trt_spawn(ctx, &child, run, &b);
    const int mine = run(ctx, &a);
    const int its = trt_join(ctx, &child);
    data->result = a.result + b.result;
    return mine ? mine : its;
}
