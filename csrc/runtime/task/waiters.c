#include "task/waiters.h"

#include "os/check.h"

#include <stddef.h>
#include <stdlib.h>

trt_waiter trt_waiters_closed;
#define CLOSED (&trt_waiters_closed)

void
trt_waiter_init(trt_waiter *w, void (*wake)(trt_waiter *))
{
    w->next = NULL;
    atomic_init(&w->decision, TRT_WAITER_WAITING);
    w->wake = wake;
}

bool
trt_waiters_add(trt_waiters *list, trt_waiter *w)
{
    /* [waiters-list] Acquire, here and in a swap that fails: what was written before
     * the close. */
    trt_waiter *before = trt_load_acquire(&list->newest);
    do {
        if (before == CLOSED) {
            return false;
        }
        w->next = before;
        /* [waiters-list] Release: the waiter, for whoever takes the list. */
    } while (!trt_cas_acq_rel(&list->newest, &before, w));
    return true;
}

bool
trt_waiters_is_closed(const trt_waiters *list)
{
    return trt_load_acquire(&list->newest) == CLOSED; /* [waiters-list] */
}

trt_waiter *
trt_waiters_oldest_first(trt_waiter *newest)
{
    trt_waiter *oldest = NULL;
    while (newest != NULL) {
        trt_waiter *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

/* Let go of a waiter that was abandoned, as the list. */
static void
let_go(trt_waiter *w)
{
    uint32_t expected = TRT_WAITER_ABANDONED;
    /* [waiter-decision] Acquire: the end of its use by the one that waited. Release:
     * the end of ours. */
    if (!trt_cas_acq_rel(&w->decision, &expected, TRT_WAITER_DETACHED)) {
        TRT_ASSERT(expected == TRT_WAITER_RELEASED);
        free(w);
    }
}

bool
trt_waiter_claim(trt_waiter *w)
{
    uint32_t expected = TRT_WAITER_WAITING;
    /* [waiter-decision] Release: the result, for the one that waited and finds FIRED.
     * Acquire: if it was abandoned, why. */
    return trt_cas_acq_rel(&w->decision, &expected, TRT_WAITER_FIRED);
}

void
trt_waiters_fire(trt_waiter *first)
{
    while (first != NULL) {
        trt_waiter *w = first;
        first = w->next; /* before w is somebody else's */
        if (trt_waiter_claim(w)) {
            w->wake(w);
        } else {
            let_go(w);
        }
    }
}

bool
trt_waiter_abandon(trt_waiter *w)
{
    uint32_t expected = TRT_WAITER_WAITING;
    /* [waiter-decision] Release: why, for the one that waits. Acquire: if it was fired,
     * what the one that fired wrote before. */
    return trt_cas_acq_rel(&w->decision, &expected, TRT_WAITER_ABANDONED);
}

/* Free the released waiters of a chain and put `tail` at the end of the others. */
static trt_waiter *
keep_unreleased(trt_waiter *chain, trt_waiter *tail)
{
    trt_waiter *kept = NULL;
    trt_waiter **end = &kept;
    while (chain != NULL) {
        trt_waiter *w = chain;
        chain = w->next;
        /* [waiter-decision] Acquire: the end of the other thread's use of w. */
        if (trt_load_acquire(&w->decision) == TRT_WAITER_RELEASED) {
            free(w);
        } else {
            *end = w;
            end = &w->next;
        }
    }
    *end = tail;
    return kept;
}

/* Take the whole list out, free the released ones, and put the rest back. What was
 * added meanwhile is newer, so it is taken out too and goes before. A waiter that is
 * released while it is out may be put back; the next sweep or the close finds it. */
static void
sweep(trt_waiters *list)
{
    trt_waiter *held = NULL;                              /* from newest to oldest */
    trt_waiter *newest = trt_load_acquire(&list->newest); /* [waiters-list] */
    for (;;) {
        if (newest == CLOSED) {
            trt_waiters_fire(
                trt_waiters_oldest_first(held)); /* the close did not see them */
            return;
        }
        if (newest == NULL && held == NULL) {
            return;
        }
        /* [waiters-list] Acquire: the waiters taken. Release: those put back. */
        if (!trt_cas_acq_rel(&list->newest, &newest, newest == NULL ? held : NULL)) {
            continue;
        }
        if (newest == NULL) {
            return;
        }
        held = keep_unreleased(newest, held);
        newest = NULL;
    }
}

void
trt_waiters_release(trt_waiters *list, trt_waiter *w)
{
    uint32_t expected = TRT_WAITER_ABANDONED;
    /* [waiter-decision] Release: this thread is done with w. Acquire: so is the
     * list. */
    if (trt_cas_acq_rel(&w->decision, &expected, TRT_WAITER_RELEASED)) {
        sweep(list);
    } else {
        TRT_ASSERT(expected == TRT_WAITER_DETACHED);
        free(w);
    }
}

bool
trt_waiters_remove(trt_waiters *list, trt_waiter *w)
{
    if (!trt_waiter_abandon(w)) {
        return false;
    }
    trt_waiters_release(list, w);
    return true;
}
