/* Memory that kernels need while they run. */
#ifndef TRT_SCRATCH_H
#define TRT_SCRATCH_H

#include <stddef.h>

/* Room for `count` items of `size` bytes each, aligned as malloc aligns; NULL if there
 * is no memory. Uninitialised. free() gives it back. */
void *trt_scratch_new(size_t count, size_t size);

#endif
