/* What a worker has done so far, in numbers.
 *
 * Each worker has its own and is the only one that writes it, so counting is a plain
 * add; anybody may read at any time and sees each number as it was a moment ago.
 *
 *     trt_count(&worker->counters.stolen);
 *     trt_counters_snapshot sum = {0};
 *     for each worker: trt_counters_add_to(&worker->counters, &sum);
 */
#ifndef TRT_COUNTERS_H
#define TRT_COUNTERS_H

#include "os/atomics.h"

#include <stdint.h>

/* Written by one thread, read by any; relaxed, nothing is published by them. As large
 * as one cache line, so that those of two workers side by side share at most the
 * borders. Zeroed memory is the initial state. */
typedef struct trt_counters {
    _Atomic(uint64_t) spawned;        /* tasks that this worker created */
    _Atomic(uint64_t) inlined;        /* tasks run as a call by the one that waited */
    _Atomic(uint64_t) stolen;         /* tasks taken from another worker's deque */
    _Atomic(uint64_t) ran;            /* tasks run to their end, inlined or not */
    _Atomic(uint64_t) parked;         /* times that a task suspended */
    _Atomic(uint64_t) wakes;          /* sleeping workers that this one woke */
    _Atomic(uint64_t) spurious_wakes; /* sleeps that ended with nothing to do */
    _Atomic(uint64_t) sleeps;         /* times that the worker went to sleep */
} trt_counters;

/* The same numbers as plain values: one worker's, or a sum. */
typedef struct trt_counters_snapshot {
    uint64_t spawned;
    uint64_t inlined;
    uint64_t stolen;
    uint64_t ran;
    uint64_t parked;
    uint64_t wakes;
    uint64_t spurious_wakes;
    uint64_t sleeps;
} trt_counters_snapshot;

/* Add one. The worker that owns the counters only: not a read-modify-write. A release,
 * so that whoever sees that something was counted as ended sees that it was counted as
 * begun [count]. */
static inline void
trt_count(_Atomic(uint64_t) *counter)
{
    trt_store_release(counter, trt_load_relaxed(counter) + 1); /* [count] */
}

/* Add what the worker has counted to *sum. Any thread. */
void trt_counters_add_to(const trt_counters *c, trt_counters_snapshot *sum);

#endif
