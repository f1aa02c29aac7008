/* Merging on one thread, in merge_template.h, and on many.
 *
 * On many, a merge is cut at the middle of its outcome: a binary search finds how much
 * of either run lies before that (merge path: Odeh, Green, Mwassi, Shmueli and Birk,
 * IPDPS Workshops 2012). The two parts are merges of their own, equally long, and are
 * cut again. */
#include "kernels/merge.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    /* Items that a thread merges at a time: some ten microseconds. */
    PART = 1 << 14,
    /* Items from each of four ends at a time, or it is not worth the set-up. */
    STEPS_MIN = 8,
    /* From this ratio of lengths on, items of the short run are searched for. */
    SKEWED = 64,
};

static inline size_t
least(size_t x, size_t y)
{
    return x < y ? x : y;
}

#define TEMPLATE "kernels/merge_template.h"
#include "kernels/dtype_template.h"

const trt_merge_kernel trt_merge_kernels[TRT_DTYPES] = {
#define ROW(constant, type, name) [constant] = {merge_##name, path_##name},
    TRT_EACH_DTYPE(ROW)
#undef ROW
};

/* The parts of a merge before and after the middle of its outcome. */
static void
cut(const trt_merge *m, trt_merge *before, trt_merge *after)
{
    const size_t size = trt_dtype_size(m->dtype);
    const size_t middle = (m->left_length + m->right_length) / 2;
    const size_t left = trt_merge_kernels[m->dtype].path(m, middle);
    const size_t right = middle - left;
    *before = *m;
    before->left_length = left;
    before->right_length = right;
    *after = (trt_merge){.dtype = m->dtype,
                         .left = (const char *)m->left + left * size,
                         .left_length = m->left_length - left,
                         .right = (const char *)m->right + right * size,
                         .right_length = m->right_length - right,
                         .out = (char *)m->out + middle * size};
}

int
trt_merge_run(trt_context *ctx, void *merge)
{
    const trt_merge *const m = merge;
    if (trt_cancelled(ctx)) {
        return TRT_CANCELLED;
    }
    if (m->left_length + m->right_length <= PART) {
        trt_merge_kernels[m->dtype].merge(m);
        return TRT_OK;
    }
    trt_merge before, after;
    cut(m, &before, &after);
    trt_frame child;
    trt_spawn(ctx, &child, trt_merge_run, &after);
    const int mine = trt_merge_run(ctx, &before);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}
