/* A flag that can be waited for. One that resets itself lets one go on each time it is
 * set, or the next to come if nobody waits.
 */
#ifndef TRT_EVENT_H
#define TRT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/thread.h"
#include "sync/wait_queue.h"

typedef enum trt_event_result {
    TRT_EVENT_WAS_SET, /* nothing has changed */
    TRT_EVENT_SET,     /* nobody has waited */
    TRT_EVENT_WOKE,    /* those that waited go on */
} trt_event_result;

typedef struct trt_event {
    /* Written under the lock, but for an autoreset's take. What was written before the
     * flag was set is seen by who finds it set [event-set]. */
    _Atomic(uint32_t) is_set;
    bool autoreset; /* constant */
    /* Guards the queue; nothing is taken inside but locks at higher addresses, by a
     * select. */
    trt_mutex lock;
    trt_wait_queue queue;
} trt_event;

void trt_event_init(trt_event *e, bool autoreset);

/* Nobody waits or will. */
void trt_event_destroy(trt_event *e);

static inline bool
trt_event_is_set(const trt_event *e)
{
    return trt_load_acquire(&e->is_set) != 0; /* [event-set] */
}

/* Whether it is set; then an autoreset is no longer. Any thread. */
bool trt_event_try(trt_event *e);

/* The same; false: the node is queued, and when it is served the event was set. */
bool trt_event_try_or_queue(trt_event *e, trt_wait_node *node);

/* In pieces, for a select: with the lock, after trt_event_try under it has failed,
 * queue the node. */
void trt_event_queue_locked(trt_event *e, trt_wait_node *node);

/* The node's waiter was abandoned: take it out of the queue. */
void trt_event_leave(trt_event *e, trt_wait_node *node);

/* Set it, and let all go on that wait, or one of an autoreset, which is not set then.
 * Any thread, without locks. */
trt_event_result trt_event_set(trt_event *e);

void trt_event_clear(trt_event *e);

/* How many wait at some moment during the call. Any thread. */
size_t trt_event_waiting(trt_event *e);

#endif
