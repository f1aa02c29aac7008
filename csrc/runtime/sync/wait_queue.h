/* Who waits for a primitive, in the order of arrival.
 *
 * A node stands for one operation that waits: a lock that is wanted, an item to be put.
 * It names a waiter (task/waiters.h), whose decision is taken once: by whoever serves
 * the node (FIRED), or by the one that waits, which has lost interest (ABANDONED). A
 * waiter may have several nodes in several queues (select): one of them is served.
 *
 *     the one that waits                       the one that serves, under the lock
 *     under the primitive's lock:              node = trt_wait_queue_claim(&q);
 *         nothing there?                       node->value = what it gets;
 *         trt_wait_queue_append(&q, node);     and when the lock is released:
 *     sleep until the waiter is decided        trt_wait_nodes_wake(node);
 *     abandoned: under the lock:
 *         trt_wait_queue_remove(&q, node);
 *
 * One that is interrupted without losing interest (its deadline has changed, a signal
 * handler has run) leaves, and comes again with a new node that has its old place.
 *
 * What makes an operation happen, be it the change of a count or the passing of an
 * item, is done under the lock together with the claim. So a decision that is FIRED
 * means that it has happened, and one that is ABANDONED that it has not: nothing is
 * lost between a wake-up and a timeout or a cancellation.
 *
 * A queue has no lock of its own: the primitive's guards it and the nodes in it.
 */
#ifndef TRT_WAIT_QUEUE_H
#define TRT_WAIT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "task/waiters.h"

typedef struct trt_wait_node {
    struct trt_wait_node *previous, *next;
    trt_waiter *waiter; /* constant while queued */
    void *value;        /* what is offered, or what was got; a primitive's own use */
    uint64_t place;     /* in the order of arrival; 0: not queued, or served, so far */
    bool queued;        /* in a queue; under its lock */
    bool served;        /* claimed: written before the wake-up, read after it */
    bool lost;          /* a semaphore's: was woken up once and came too late */
} trt_wait_node;

/* Zeroed memory is an empty queue. */
typedef struct trt_wait_queue {
    trt_wait_node *head, *tail;
    uint64_t places; /* given so far */
} trt_wait_queue;

static inline bool
trt_wait_queue_is_empty(const trt_wait_queue *q)
{
    return q->head == NULL;
}

/* Make *node a node of `waiter` that is in no queue. */
void trt_wait_node_init(trt_wait_node *node, trt_waiter *waiter, void *value);

/* Enter a node that is in no queue, as the last; or if it has a `place` from an earlier
 * time in this queue, there: who was only interrupted loses nothing. */
void trt_wait_queue_append(trt_wait_queue *q, trt_wait_node *node);

/* Take a node out if it is in. */
void trt_wait_queue_remove(trt_wait_queue *q, trt_wait_node *node);

/* How many nodes have a waiter that is undecided. */
size_t trt_wait_queue_count(const trt_wait_queue *q);

/* Take out the first node whose waiter had not been decided, and decide it; nodes that
 * were abandoned are taken out on the way. NULL if there is none. The caller does what
 * it was waiting for, and calls trt_wait_nodes_wake once it has released the lock. */
trt_wait_node *trt_wait_queue_claim(trt_wait_queue *q);

/* Claim all, as a chain through `next` from first to last, for trt_wait_nodes_wake. */
trt_wait_node *trt_wait_queue_claim_all(trt_wait_queue *q);

/* Let those go on that were claimed: one, several in a chain, or NULL. The nodes may be
 * gone after this. Without locks. */
void trt_wait_nodes_wake(trt_wait_node *first);

#endif
