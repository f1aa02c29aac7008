#include "native/work.h"

#include <stdlib.h>
#include <string.h>

void
trt_work_init(trt_work *work)
{
    trt_store_relaxed(&work->cancel, 0);
    trt_store_relaxed(&work->message, NULL);
    trt_store_relaxed(&work->error, NULL);
    trt_store_relaxed(&work->lost, false);
}

void
trt_work_destroy(trt_work *work)
{
    free(trt_load_relaxed(&work->message));
}

trt_work *
trt_work_of(const trt_context *ctx)
{
    return (trt_work *)ctx->cancel; /* its first member */
}

int
trt_work_fail(trt_context *ctx, int status, const char *message)
{
    trt_work *const work = trt_work_of(ctx);
    if (!message) {
        return status;
    }
    const size_t size = strlen(message) + 1;
    char *const copy = malloc(size);
    if (!copy) {
        return status; /* without the words */
    }
    memcpy(copy, message, size);
    char *none = NULL;
    /* Relaxed would do for the pointer, but not for the text behind it where no join
     * is between: the end of the work orders both for whoever reads it. */
    if (!trt_cas_relaxed(&work->message, &none, copy)) {
        free(copy);
    }
    return status;
}
