/* Copying items one after the other from one place to another that does not overlap.
 *
 *     trt_copy c = {source, target};                      // of one dtype and length
 *     trt_copy_kernels[source.dtype](&c, 0, length);      // here
 *     status = trt_copy_run(ctx, &c);                     // on all threads
 */
#ifndef TRT_COPY_H
#define TRT_COPY_H

#include "kernels/dtype.h"
#include "taskrt_native.h"

typedef struct trt_copy {
    trt_items source, target;
} trt_copy;

/* Copy the items from `begin` to before `end`, on this thread. */
typedef void (*trt_copy_kernel)(const trt_copy *c, size_t begin, size_t end);

extern const trt_copy_kernel trt_copy_kernels[TRT_DTYPES];

/* Copy all of them, on whatever threads have nothing else to do. A native task; `copy`
 * is a trt_copy. */
int trt_copy_run(trt_context *ctx, void *copy);

#endif
