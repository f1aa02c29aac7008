/* Who waits for a task: a list of callbacks that is closed once.
 *
 * Anybody may add a waiter until the list is closed; whoever closes it gets all of them
 * and fires them. A waiter may lose interest first (a timeout, a cancellation). One
 * compare-and-swap on the waiter decides which of the two happened, so a wake-up is
 * neither lost nor delivered twice. Lock-free.
 *
 *     the one that waits                      the one that finishes
 *     w = malloc(sizeof *w);                  publish the result;
 *     trt_waiter_init(w, wake_me);            first = trt_waiters_close(&list);
 *     if (!trt_waiters_add(&list, w)) {       trt_waiters_fire(first);
 *         free(w);  // finished already
 *     }
 *     ... and to stop waiting early:
 *     if (!trt_waiters_remove(&list, w)) {
 *         // fired: let the wake-up arrive first, then
 *         free(w);
 *     }
 *
 * Life of a waiter, which is the life of its decision:
 *
 *     step                                    by
 *     WAITING -> FIRED                        who holds the closed list, or claims it;
 *                                             calls `wake`
 *     WAITING -> ABANDONED                    any thread: trt_waiter_abandon
 *     ABANDONED -> RELEASED                   who waited: trt_waiters_release
 *     ABANDONED -> DETACHED                   who holds the closed list
 *
 * Memory: a waiter is the first member of a block from malloc(). A FIRED one is freed
 * by who waited, after `wake` has delivered it. An ABANDONED one is in use by who
 * waited and by the list; the last of the two to let go frees it with free(). So who
 * waited first releases what else it refers to, then calls trt_waiters_release, and
 * does not look at it again.
 */
#ifndef TRT_WAITERS_H
#define TRT_WAITERS_H

#include "os/atomics.h"
#include "os/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trt_waiter_decision {
    TRT_WAITER_WAITING,
    TRT_WAITER_FIRED,
    TRT_WAITER_ABANDONED, /* it will not be fired */
    TRT_WAITER_RELEASED,  /* and who waited has let go of it */
    TRT_WAITER_DETACHED,  /* and it is in no list any more */
};

typedef struct trt_waiter trt_waiter;

struct trt_waiter {
    trt_waiter *next; /* the list's, from add until fired or freed */
    /* A trt_waiter_decision. Changed by the steps above, each a compare-and-swap, and
     * read by anybody to whom the waiter is still valid; a step publishes what its
     * thread wrote before [waiter-decision]. */
    _Atomic(uint32_t) decision;
    /* Called once, on the thread that fires, if the waiter was not abandoned. Must not
     * touch the waiter after the step that lets the one that waited go on, nor
     * block. */
    void (*wake)(trt_waiter *);
};

/* Zeroed memory is an open, empty list too. */
typedef struct trt_waiters {
    /* The newest waiter, NULL, or the mark of a closed list. Any thread adds or takes
     * all out; one closes it [waiters-list]. */
    _Atomic(trt_waiter *) newest;
} trt_waiters;

/* Make the list open and empty. */
static inline void
trt_waiters_init(trt_waiters *list)
{
    atomic_init(&list->newest, NULL);
}

/* Make *w a waiter that nobody has added yet. */
void trt_waiter_init(trt_waiter *w, void (*wake)(trt_waiter *));

/* Add a waiter. True: it is the list's now. False: the list is closed, `wake` will not
 * be called, the waiter is still the caller's, and what was written before the close is
 * visible. Any thread. */
bool trt_waiters_add(trt_waiters *list, trt_waiter *w);

/* True once the list is closed; what was written before the close is visible. */
bool trt_waiters_is_closed(const trt_waiters *list);

/* What `newest` points to in a closed list. Never fired, never looked into. */
extern trt_waiter trt_waiters_closed;
/* Turn a chain from newest to oldest around, for trt_waiters_close alone. */
trt_waiter *trt_waiters_oldest_first(trt_waiter *newest);

/* Close the list and return its waiters, the oldest first, for trt_waiters_fire. Any
 * thread, once a list. Waiters that trt_waiters_release holds at this moment are fired
 * by its caller. */
static inline trt_waiter *
trt_waiters_close(trt_waiters *list)
{
    /* [waiters-list] Acquire: the waiters. Release: what was written before the close,
     * the task's result above all, for those that find the list closed. */
    trt_waiter *const newest = trt_exchange_acq_rel(&list->newest, &trt_waiters_closed);
    TRT_ASSERT(newest != &trt_waiters_closed);
    return newest ? trt_waiters_oldest_first(newest) : NULL;
}

/* Fire the waiters of a closed list in their order: decide each one FIRED and call its
 * `wake`, or let go of it if it was abandoned. Call without locks. */
void trt_waiters_fire(trt_waiter *first);

/* Decide that the waiter is FIRED. True: the caller has to call its `wake`. False: it
 * was decided before. For lists of other kinds than this one; as there, what the caller
 * wrote before is visible to the one that waits. Any thread that knows that it is still
 * valid.
 */
bool trt_waiter_claim(trt_waiter *w);

/* Decide that the waiter will not be fired. True: `wake` is not and will not be called.
 * False: it has been decided before; if FIRED, `wake` has run, runs, or is about to.
 * Any thread that knows that the waiter is still valid; it stays so until the one that
 * waits has called trt_waiters_release. */
bool trt_waiter_abandon(trt_waiter *w);

/* Let go of an abandoned waiter, which is freed now or when the list lets go of it. By
 * the one that waits, once. Keeps the order of the other waiters; costs a walk over
 * them. Calls their `wake` if the list is closed at this moment, so call without
 * locks. */
void trt_waiters_release(trt_waiters *list, trt_waiter *w);

/* trt_waiter_abandon and, if that is true, trt_waiters_release. By the one that waits,
 * once. False: fired; the caller frees the waiter after the wake-up arrived. */
bool trt_waiters_remove(trt_waiters *list, trt_waiter *w);

#endif
