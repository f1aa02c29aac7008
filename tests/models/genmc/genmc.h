/* What the harnesses share: what GenMC's own C library lacks, and the end on a
 * panic. */
#ifndef TRT_MODEL_GENMC_H
#define TRT_MODEL_GENMC_H

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "os/check.h"

/* In steps of eight bytes, as GenMC wants all accesses of a place to be of one size. */
static inline void *
calloc(size_t count, size_t size)
{
    uint64_t *block = malloc(count * size);
    for (size_t i = 0; i < count * size / sizeof *block; i++) {
        block[i] = 0;
    }
    return block;
}

_Noreturn void
trt_panic(const char *message)
{
    (void)message;
    assert(0);
    for (;;) {
    }
}

#endif
