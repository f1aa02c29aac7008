/* What has to happen at some time, nearest first: a binary heap.
 *
 * Owned by one worker, which sleeps no longer than until trt_timers_next_deadline. Not
 * for use by two threads at once. Intrusive: a timer is a member of what waits.
 *
 *     thing->timer = (trt_timer){.deadline_ns = when, .index = TRT_TIMER_IDLE};
 *     trt_timers_add(&heap, &thing->timer);
 *     while ((timer = trt_timers_pop_due(&heap, trt_clock_now_ns())) != NULL) { ... }
 */
#ifndef TRT_TIMERS_H
#define TRT_TIMERS_H

#include "os/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `index` of a timer that is in no heap. */
#define TRT_TIMER_IDLE SIZE_MAX

/* Must not move, nor change its deadline, while it is in a heap. */
typedef struct trt_timer {
    uint64_t deadline_ns; /* of trt_clock_now_ns */
    size_t index;         /* where it is in the heap; owned by the heap while there */
} trt_timer;

/* Zeroed memory is an empty heap too. */
typedef struct trt_timers {
    trt_timer **heap; /* the one at i is due no later than those at 2i+1 and 2i+2 */
    size_t count;
    size_t capacity;
} trt_timers;

/* Make an empty heap. Allocates nothing. */
void trt_timers_init(trt_timers *h);

/* Free the heap. Timers that are left become idle. */
void trt_timers_destroy(trt_timers *h);

/* Add an idle timer. Returns 0, or -ENOMEM and nothing has changed. */
int trt_timers_add(trt_timers *h, trt_timer *timer);

/* Take the timer out; it is idle then. False if it was idle already. */
bool trt_timers_remove(trt_timers *h, trt_timer *timer);

/* The nearest deadline; TRT_FOREVER if there is no timer. */
static inline uint64_t
trt_timers_next_deadline(const trt_timers *h)
{
    return h->count == 0 ? TRT_FOREVER : h->heap[0]->deadline_ns;
}

/* Take out a timer whose deadline is `now_ns` or earlier, the earliest first; NULL if
 * there is none. Equal deadlines come in any order. */
trt_timer *trt_timers_pop_due(trt_timers *h, uint64_t now_ns);

#endif
