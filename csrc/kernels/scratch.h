/* Memory that kernels need while they run. */
#ifndef TRT_SCRATCH_H
#define TRT_SCRATCH_H

#include <stddef.h>

/* Room for `count` items of `size` bytes each, aligned as malloc aligns; NULL if there
 * is no memory. Uninitialised. Any thread. */
void *trt_scratch_new(size_t count, size_t size);

/* Give it back; nothing for NULL. Any thread. Some hundred megabytes at the most are
 * kept for the next, and go to the system when that is short of memory. */
void trt_scratch_free(void *memory);

#endif
