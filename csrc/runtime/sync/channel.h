/* Items that go from one thread or task to another, in order.
 *
 * Holds up to `capacity` items; with 0 a put waits for its get and hands the item over.
 * Each operation first tries to happen at once. If it cannot and is given a node, it
 * enters that and happens later, when somebody on the other side does it for both; see
 * wait_queue.h for who decides that and why nothing is lost. A node that is served has
 * in `value` the item that it got; NULL after a put, or a get from a channel that was
 * closed; or trt_channel_refused after a put that was refused, since it was closed.
 *
 * Operations on a locked channel come in pieces, so that a select can look at several
 * at once: lock all, in the order of addresses, try each, queue a node in each, unlock
 * all.
 */
#ifndef TRT_CHANNEL_H
#define TRT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "os/thread.h"
#include "sync/wait_queue.h"

#define TRT_CHANNEL_UNBOUNDED UINT64_MAX

typedef enum trt_channel_result {
    TRT_CHANNEL_DONE,
    TRT_CHANNEL_MUST_WAIT, /* the node, if there is one, is queued */
    TRT_CHANNEL_CLOSED,
    TRT_CHANNEL_NO_MEMORY,
} trt_channel_result;

/* All under the lock, but for `capacity`, which is constant. */
typedef struct trt_channel {
    trt_mutex
        lock; /* nothing is taken inside but locks at higher addresses, by a select */
    uint64_t capacity;
    void **ring; /* of `size`, a power of two or 0, with `count` items from `head` */
    size_t size, head, count;
    /* If both have undecided nodes, those are of one waiter: a select that would put or
     * get. It does not meet itself. */
    trt_wait_queue getters, putters;
    bool closed;
} trt_channel;

/* What a put that was refused finds as its node's value: the channel was closed. */
extern char trt_channel_refused[];

void trt_channel_init(trt_channel *c, uint64_t capacity);

/* Empty, and nobody waits or will. */
void trt_channel_destroy(trt_channel *c);

void trt_channel_lock(trt_channel *c);
void trt_channel_unlock(trt_channel *c);

/* Put an item, or enter the node, whose value becomes the item. `wake` gets a node to
 * be woken once the lock is released, or NULL. Caller holds the lock. */
trt_channel_result trt_channel_put_locked(trt_channel *c, void *item,
                                          trt_wait_node *node, trt_wait_node **wake);

/* Get the oldest item, or enter the node. CLOSED once it is closed and empty. */
trt_channel_result trt_channel_get_locked(trt_channel *c, void **item,
                                          trt_wait_node *node, trt_wait_node **wake);

/* Enter the node of a put or a get that has just been tried under this lock, without a
 * node, and has to wait. For a select, which would otherwise find what it has entered
 * itself. */
void trt_channel_queue_locked(trt_channel *c, bool is_put, void *item,
                              trt_wait_node *node);

/* Put and get with the lock and the wake-up taken care of. */
trt_channel_result trt_channel_put(trt_channel *c, void *item, trt_wait_node *node);
trt_channel_result trt_channel_get(trt_channel *c, void **item, trt_wait_node *node);

/* The node's waiter was abandoned: take it out of its queue. */
void trt_channel_leave(trt_channel *c, trt_wait_node *node, bool is_put);

/* Put back an item that has just been got, as the oldest, whether there is room or not.
 * False: no memory. */
bool trt_channel_put_back(trt_channel *c, void *item);

/* Refuse puts from now on, and gets once it is empty. Lets all go on that wait. False:
 * it was closed before. */
bool trt_channel_close(trt_channel *c);

/* Take out all items that are held, calling drop(item, arg) for each without the lock.
 * Nobody waits to put: those would not learn of the room. How many. */
size_t trt_channel_clear(trt_channel *c, void (*drop)(void *item, void *arg),
                         void *arg);

/* Call visit(item, arg) for each item that is held, until one returns something else
 * than 0, which is returned. Without the lock: the caller knows that nobody uses the
 * channel meanwhile, as a garbage collector does. */
int trt_channel_visit(const trt_channel *c, int (*visit)(void *item, void *arg),
                      void *arg);

/* Items that are held at some moment during the call. */
size_t trt_channel_count(trt_channel *c);

bool trt_channel_is_closed(trt_channel *c);

/* A channel at one moment. */
typedef struct trt_channel_state {
    size_t count, getting, putting; /* items; who waits */
    bool closed;
} trt_channel_state;

trt_channel_state trt_channel_look(trt_channel *c);

#endif
