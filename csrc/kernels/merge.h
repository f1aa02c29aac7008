/* Merging two sorted runs into a third place, stably.
 *
 * Among equals, those of `left` come first, and each run's keep their order: -0.0 and
 * 0.0 are equal. NaNs come last, in the same order, as NumPy sorts them. What comes of
 * runs that are not sorted is not specified, but nothing outside of `out` is written
 * and nothing outside of the runs is read.
 *
 *     trt_merge m = {TRT_FLOAT64, left, left_length, right, right_length, out};
 *     trt_merge_kernels[m.dtype].merge(&m);   // here
 *     status = trt_merge_run(ctx, &m);        // on all threads
 */
#ifndef TRT_MERGE_H
#define TRT_MERGE_H

#include "kernels/dtype.h"
#include "taskrt_native.h"

/* Aligned arrays. `out`, of both lengths together, overlaps neither run. */
typedef struct trt_merge {
    trt_dtype dtype;
    const void *left;
    size_t left_length;
    const void *right;
    size_t right_length;
    void *out;
} trt_merge;

typedef struct trt_merge_kernel {
    /* Merge on this thread. */
    void (*merge)(const trt_merge *m);
    /* Of the first `diagonal` items of the outcome, how many are from `left`; the
     * others are from `right`. `diagonal` is at most the sum of the lengths. */
    size_t (*path)(const trt_merge *m, size_t diagonal);
} trt_merge_kernel;

extern const trt_merge_kernel trt_merge_kernels[TRT_DTYPES];

/* Merge in equal parts, on whatever threads have nothing else to do. A native task;
 * `merge` is a trt_merge. Cancelled, it leaves `out` unfinished. */
int trt_merge_run(trt_context *ctx, void *merge);

#endif
