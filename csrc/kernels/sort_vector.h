/* Sorting in cache with vectors of 512 bits, on processors that have them. Internal:
 * for sort_ranks.c.
 *
 * Not stable, which nobody sees if equals are the same bits. Items are compared as
 * integers, so that zeros of both signs are not equal: it does not take those. */
#ifndef TRT_SORT_VECTOR_H
#define TRT_SORT_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How to make integers with a sign of items, which are in the same order. */
typedef struct trt_signing {
    uint64_t flip; /* bits to invert */
    bool is_float; /* before that, of negative ones all but the sign */
} trt_signing;

/* Sort items of 4 or 8 bytes, none a NaN. They end where they are, or if not `stay` in
 * the spare. False, and nothing has changed, if it cannot be done. */
bool trt_sort_vectors(void *items, void *spare, size_t length, size_t size, bool stay,
                      trt_signing signing);

#endif
