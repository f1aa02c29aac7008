/* Loops over ranges of indices: see trt_parallel_for and trt_parallel_reduce. */
#ifndef TRT_LOOPS_H
#define TRT_LOOPS_H

#include "taskrt_native.h"

int trt_loop_for(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                 trt_range_function fn, void *arg);

int trt_loop_reduce(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                    const trt_reduction *how, void *arg, void *result);

#endif
