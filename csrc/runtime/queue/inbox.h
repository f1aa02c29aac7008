/* A list that many threads add to and one thread empties.
 *
 * For work that only one worker may do: whoever wakes a task of worker w pushes its
 * node on w's inbox and unparks w. Intrusive, so that nothing is allocated; lock-free.
 *
 *     others:  trt_inbox_push(&in, &thing->node);
 *     owner:   for (n = trt_inbox_take_all(&in); n != NULL; n = next) {
 *                  next = n->next;      // before the node is given away
 *                  ...
 *              }
 */
#ifndef TRT_INBOX_H
#define TRT_INBOX_H

#include "os/atomics.h"

#include <stdbool.h>
#include <stddef.h>

/* A member of what is queued. The list owns it from the push until the owner took it;
 * it is in at most one list at a time. */
typedef struct trt_inbox_node {
    struct trt_inbox_node *next;
} trt_inbox_node;

/* Zeroed memory is an empty inbox too. */
typedef struct trt_inbox {
    /* The newest node, or NULL. Any thread puts a node there, which publishes what was
     * written to it; the owner takes all [inbox-node]. */
    _Atomic(trt_inbox_node *) newest;
} trt_inbox;

/* Make the inbox empty, without a look at what was in it. */
void trt_inbox_init(trt_inbox *in);

/* Add a node. True if the inbox was empty. Any thread. Sequentially consistent: a push
 * and a following unpark or look at a word are in the one order of all threads. */
bool trt_inbox_push(trt_inbox *in, trt_inbox_node *node);

/* Take every node, linked by `next` from the oldest to the newest; NULL if there is
 * none. Owner only. */
trt_inbox_node *trt_inbox_take_all(trt_inbox *in);

/* True if there was nothing a moment ago. Any thread. */
static inline bool
trt_inbox_is_empty(const trt_inbox *in)
{
    return trt_load_relaxed(&in->newest) == NULL;
}

#endif
