/* A child for one half of each cut whose halves are independent. */
#include <taskrt_native.h>

#include "matmul.h"

static int
multiply(trt_context *ctx, void *arg)
{
    const piece *const p = arg;
    piece first, second;
    const cut how = piece_cut(*p, &first, &second);
    if (how == CUT_NONE) {
        piece_multiply(*p);
        return TRT_OK;
    }
    if (how == CUT_K) {
        const int status = multiply(ctx, &first);
        return status ? status : multiply(ctx, &second);
    }
    trt_frame child;
    trt_spawn(ctx, &child, multiply, &second);
    const int mine = multiply(ctx, &first);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}

int
run(trt_context *ctx, void *arg)
{
    piece whole = piece_whole(arg);
    return multiply(ctx, &whole);
}
