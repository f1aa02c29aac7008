/* Setting all items to one value.
 *
 *     trt_fill f = {.target = {TRT_FLOAT64, array, length, sizeof(double)}};
 *     memcpy(f.value, &x, sizeof x);
 *     trt_fill_kernels[f.target.dtype](&f, 0, length);    // here
 *     status = trt_fill_run(ctx, &f);                     // on all threads
 */
#ifndef TRT_FILL_H
#define TRT_FILL_H

#include "kernels/dtype.h"
#include "taskrt_native.h"

typedef struct trt_fill {
    trt_items target;
    unsigned char value[8]; /* as it lies in memory, from the first byte on */
} trt_fill;

/* Set the items from `begin` to before `end`, on this thread. */
typedef void (*trt_fill_kernel)(const trt_fill *f, size_t begin, size_t end);

extern const trt_fill_kernel trt_fill_kernels[TRT_DTYPES];

/* Set all of them, on whatever threads have nothing else to do. A native task; `fill`
 * is a trt_fill. */
int trt_fill_run(trt_context *ctx, void *fill);

#endif
