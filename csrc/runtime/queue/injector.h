/* A first-in first-out queue for any number of threads on both sides.
 *
 * Holds what comes from outside the workers or must run in order of arrival. It is far
 * from the hottest path: a mutex and a ring that grows. Looking whether there is
 * anything takes no lock.
 *
 *     trt_injector_push(&q, item);           // any thread
 *     void *item = trt_injector_pop(&q);     // any thread; NULL when empty
 */
#ifndef TRT_INJECTOR_H
#define TRT_INJECTOR_H

#include "os/atomics.h"
#include "os/thread.h"

#include <stdbool.h>
#include <stddef.h>

/* Items are pointers other than NULL. */
typedef struct trt_injector {
    trt_mutex lock;  /* guards all below */
    void **ring;     /* NULL until the first push */
    size_t capacity; /* a power of two, or 0 */
    size_t first;    /* slot of the oldest item */
    /* Number of items. Written under the lock, read by anybody without. Relaxed: it is
     * only a reason to take the lock, or stands beside a full fence of its reader. */
    _Atomic(size_t) size;
} trt_injector;

/* Make an empty queue. Allocates nothing. */
void trt_injector_init(trt_injector *q);

/* Free the ring. Items that are left are the caller's. Nobody may use the queue during
 * or after this. */
void trt_injector_destroy(trt_injector *q);

/* Add an item at the end. Returns 0, or -ENOMEM and the queue is as before. Any
 * thread. */
int trt_injector_push(trt_injector *q, void *item);

/* Take the oldest item; NULL if there is none. Any thread. An item whose push returned
 * before this was called, on this thread or by an order the caller made, is seen. */
void *trt_injector_pop(trt_injector *q);

/* Take the oldest item if `unwanted`, which is called under the lock, says so of it;
 * NULL otherwise. Any thread. */
void *trt_injector_pop_if(trt_injector *q, bool (*unwanted)(void *item));

/* Take this item out if it is the newest or the oldest. Whether it was. Any thread. */
bool trt_injector_remove(trt_injector *q, const void *item);

/* How many items there are, or were a moment ago. Any thread, no lock. */
size_t trt_injector_size(const trt_injector *q);

/* In a forked child, while it has one thread: an empty queue, whoever was in the middle
 * of using it in the parent. The ring is not freed, as it may be half replaced. */
void trt_injector_reinit_after_fork(trt_injector *q);

#endif
