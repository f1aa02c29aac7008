/* Sums that do not depend on the number of threads.
 *
 * Integers are added up in 64 bits and wrap around. Floating-point numbers, of either
 * size, are added up in double precision, in an order that is fixed by the length: see
 * sum.c.
 *
 *     trt_sum s = {.items = {TRT_FLOAT64, array, length, sizeof(double)}};
 *     trt_sum_here(&s);                      // here
 *     status = trt_sum_run(ctx, &s);         // on all threads
 *     double total = trt_total_float(&s.total);
 */
#ifndef TRT_SUM_H
#define TRT_SUM_H

#include "kernels/dtype.h"
#include "taskrt_native.h"

/* What has been added up so far. All zeros at first. */
typedef struct trt_total {
    uint64_t integer; /* of integers, those with a sign in two's complement */
    double sum;       /* of floating-point numbers */
    double rest;      /* what rounding has taken away from that */
} trt_total;

typedef struct trt_sum {
    trt_items items;
    trt_total total; /* the outcome */
} trt_sum;

/* Add the items from `begin` to before `end`, on this thread. */
typedef void (*trt_sum_kernel)(const trt_items *items, size_t begin, size_t end,
                               trt_total *total);

extern const trt_sum_kernel trt_sum_kernels[TRT_DTYPES];

/* Add up all of them on this thread. */
void trt_sum_here(trt_sum *s);

/* Add up all of them, on whatever threads have nothing else to do: to the last bit what
 * trt_sum_here finds. A native task; `sum` is a trt_sum. */
int trt_sum_run(trt_context *ctx, void *sum);

/* The sum of floating-point numbers. */
double trt_total_float(const trt_total *total);

#endif
