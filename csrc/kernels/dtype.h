/* The types of numbers that kernels work on.
 *
 * Kernels are plain C: they know no Python and use nothing but taskrt_native.h. Each
 * has a table of functions by dtype, which run where they are called, and a function
 * for trt_spawn, which takes a record of arguments and spreads the same work over the
 * pool. */
#ifndef TRT_DTYPE_H
#define TRT_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* Constant, type in C, name. */
#define TRT_EACH_DTYPE(X)                                                              \
    X(TRT_INT8, int8_t, int8)                                                          \
    X(TRT_INT16, int16_t, int16)                                                       \
    X(TRT_INT32, int32_t, int32)                                                       \
    X(TRT_INT64, int64_t, int64)                                                       \
    X(TRT_UINT8, uint8_t, uint8)                                                       \
    X(TRT_UINT16, uint16_t, uint16)                                                    \
    X(TRT_UINT32, uint32_t, uint32)                                                    \
    X(TRT_UINT64, uint64_t, uint64)                                                    \
    X(TRT_FLOAT32, float, float32)                                                     \
    X(TRT_FLOAT64, double, float64)

typedef enum trt_dtype {
#define TRT_CONSTANT(constant, type, name) constant,
    TRT_EACH_DTYPE(TRT_CONSTANT)
#undef TRT_CONSTANT
        TRT_DTYPES, /* how many */
} trt_dtype;

/* Up to these sizes the pool does not help: another thread takes its time to wake, and
 * then what it works on has to come to its cache. Measured with 2 threads on 2 cores of
 * an AMD EPYC, median of many calls, alone and together in microseconds:
 *
 *   merging     2^16 float64   66,  68    2^17   132,  99 to 125
 *   filling     16 MB         130, 170    32 MB  750, 330
 *   copying      8 MB         130, 140    16 MB  460, 240
 *   adding up   2^21 float64  190, 170 to 240    2^22  750, 350
 *
 * Sorting 2^16 float64 takes 300 alone. With strides an item takes 0.3 ns or more,
 * whatever its size. */
enum {
    TRT_MERGE_SERIAL = 1 << 16,   /* items of both runs together */
    TRT_FILL_SERIAL = 1 << 24,    /* bytes side by side */
    TRT_COPY_SERIAL = 1 << 23,    /* bytes side by side, on each side */
    TRT_STRIDED_SERIAL = 1 << 19, /* items to be filled or copied with strides */
    TRT_SUM_SERIAL = 1 << 21,     /* items */
    TRT_SORT_SERIAL = 1 << 16,    /* items */
};

/* Items of one type in memory, aligned, each `stride` bytes after the one before. */
typedef struct trt_items {
    trt_dtype dtype;
    char *first;
    size_t length;
    ptrdiff_t stride; /* may be negative */
} trt_items;

static inline size_t
trt_dtype_size(trt_dtype dtype)
{
    static const size_t sizes[] = {
#define TRT_SIZE(constant, type, name) [constant] = sizeof(type),
        TRT_EACH_DTYPE(TRT_SIZE)
#undef TRT_SIZE
    };
    return sizes[dtype];
}

#endif
