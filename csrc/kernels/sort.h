/* Sorting rows of numbers where they are, and finding the order that would sort them.
 *
 * Both are stable: equals keep their order, also -0.0 and 0.0, which are equal. NaNs
 * come last, in the order in which they were, whatever their sign. `reverse` sorts from
 * the largest to the smallest; equals keep their order and NaNs come last then too.
 *
 *     trt_sort s = {TRT_FLOAT64, array, length, rows, false};
 *     status = trt_sort_here(&s);            // here
 *     status = trt_sort_run(ctx, &s);        // on all threads
 *
 * Extra memory: as many items as are sorted, and with many rows as many as the rows
 * have that are being sorted at the time; finding the order, 8 bytes for each of these
 * items. For long rows a few megabytes more. 8-bit and 16-bit integers need less.
 *
 * With TRT_NO_MEMORY or TRT_CANCELLED, each row is unfinished, but holds all of its
 * items in some order. */
#ifndef TRT_SORT_H
#define TRT_SORT_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "taskrt_native.h"

/* Aligned rows that lie one after the other. */
typedef struct trt_sort {
    trt_dtype dtype;
    void *items;
    size_t length; /* of a row */
    size_t rows;
    bool reverse;
} trt_sort;

/* Sort each row on this thread. TRT_OK or TRT_NO_MEMORY. */
int trt_sort_here(trt_sort *s);

/* Sort each row, on whatever threads have nothing else to do. A native task; `sort` is
 * a trt_sort. */
int trt_sort_run(trt_context *ctx, void *sort);

/* As many indices as items, which do not overlap. */
typedef struct trt_argsort {
    trt_dtype dtype;
    const void *items;
    int64_t *indices;
    size_t length; /* of a row */
    size_t rows;
    bool reverse;
} trt_argsort;

/* For each row, write the indices in the row of its items in the order in which
 * trt_sort_here would put them. TRT_OK or TRT_NO_MEMORY; `indices` then holds anything.
 */
int trt_argsort_here(trt_argsort *a);

/* Likewise, on whatever threads have nothing else to do. A native task; `argsort` is a
 * trt_argsort. */
int trt_argsort_run(trt_context *ctx, void *argsort);

#endif
