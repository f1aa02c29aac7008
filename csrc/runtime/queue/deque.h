/* The queue of a worker: the owner pushes and pops at one end, anybody steals at the
 * other.
 *
 * Chase and Lev, "Dynamic circular work-stealing deque", SPAA 2005, with the memory
 * orders of Le, Pop, Cohen and Zappa Nardelli, "Correct and efficient work-stealing for
 * weak memory models", PPoPP 2013, section 4, changed in two points:
 *
 *   - Their fences are sequentially consistent accesses here: the same on x86 in pop,
 *     cheaper in steal and on arm64, and visible to ThreadSanitizer.
 *   - Every owner store of `bottom` is at least a release store. A thief may read the
 *     value of a pop, and must still see the item that an earlier push published.
 *
 * Items are pointers other than NULL; the deque does not look at what they point to.
 *
 *     trt_deque d;
 *     if (trt_deque_init(&d, 8) < 0) { ... }
 *     owner:   trt_deque_push(&d, item);  item = trt_deque_pop(&d);
 *     thief:   if (trt_deque_steal(&d, &item) == TRT_STEAL_GOT) { ... }
 *
 * One thread at a time is the owner. Ownership may be handed over if that orders the
 * threads (a join, a lock).
 */
#ifndef TRT_DEQUE_H
#define TRT_DEQUE_H

#include "os/atomics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How pop announces that it takes the newest item. Sequentially consistent, or the
 * owner and a thief may both take the last item. A macro so that the stress test can
 * weaken it and prove that it would notice. */
#ifndef TRT_DEQUE_POP_STORE
#define TRT_DEQUE_POP_STORE(p, v) trt_store_seq_cst(p, v)
#endif

typedef _Atomic(void *) trt_deque_slot;
typedef struct trt_deque_buffer trt_deque_buffer;

/* Items are numbered in the order of their push. Those with numbers from `top` up to,
 * not including, `bottom` are in the deque; number n is in slot n modulo capacity. */
typedef struct trt_deque {
    /* Written by the owner; thieves read it. Publishes the items below it [deque-item];
     * orders pop against steal [deque-last]. */
    _Atomic(int64_t) bottom;
    int64_t limit;         /* owner: push needs no look at `top` below this number */
    size_t mask;           /* owner: capacity - 1 of the current buffer */
    trt_deque_slot *slots; /* owner: slots of the current buffer */
    /* Written by the owner when it grows; thieves read it [deque-buffer]. */
    _Atomic(trt_deque_buffer *) buffer;
    TRT_LINE_GAP(owner_gap); /* or each steal would take the owner's line away */
    /* Only grows. Advanced by whoever takes the oldest item: thieves, and the owner
     * when it pops the last one [deque-last]. */
    _Atomic(int64_t) top;
    TRT_LINE_GAP(thief_gap); /* from what follows the deque in its container */
} trt_deque;

/* What came of an attempt to steal. */
enum trt_steal {
    TRT_STEAL_EMPTY, /* there was nothing */
    TRT_STEAL_LOST,  /* somebody else took the item first; there may be more */
    TRT_STEAL_GOT,
    TRT_STEAL_REFUSED, /* the oldest item is not for this caller */
};

/* Make an empty deque with room for 2^log2_capacity items (1 <= log2_capacity <= 30)
 * before it first grows. Returns 0, or -ENOMEM with nothing to destroy. */
int trt_deque_init(trt_deque *d, unsigned log2_capacity);

/* Free the buffers. Items that are left are the caller's. Nobody may use the deque
 * during or after this. */
void trt_deque_destroy(trt_deque *d);

/* The push that finds no room: look at `top` again, or grow. Not for callers. */
int trt_deque_push_slow(trt_deque *d, void *item);

/* The pop that may compete with thieves for the last item. Not for callers. */
void *trt_deque_pop_slow(trt_deque *d, int64_t newest);

/* Add an item as the newest. Owner only. Returns 0; or -ENOMEM, and the deque is as
 * before. Buffers that were outgrown stay until trt_deque_destroy, as a thief may still
 * read them: at most as much memory again. */
static inline int
trt_deque_push(trt_deque *d, void *item)
{
    int64_t bottom = trt_load_relaxed(&d->bottom);
    if (bottom >= d->limit) {
        return trt_deque_push_slow(d, item);
    }
    trt_store_relaxed(&d->slots[(size_t)bottom & d->mask], item);
    trt_store_release(&d->bottom, bottom + 1); /* [deque-item] read by steal */
    return 0;
}

/* Take item `newest`, which is the last one unless a thief has it, as a thief would: by
 * advancing `top`, so without an announcement. [deque-last] */
static inline void *
trt_deque_pop_last(trt_deque *d, int64_t newest)
{
    int64_t top = newest;
    void *const item = trt_load_relaxed(&d->slots[(size_t)newest & d->mask]);
    return trt_cas_seq_cst(&d->top, &top, newest + 1) ? item : NULL;
}

/* The number that the next push gives its item. Owner only. */
static inline int64_t
trt_deque_next_number(const trt_deque *d)
{
    return trt_load_relaxed(&d->bottom);
}

/* Take the newest item; NULL if there is none. Owner only. */
static inline void *
trt_deque_pop(trt_deque *d)
{
    const int64_t newest = trt_load_relaxed(&d->bottom) - 1;
    const int64_t seen = trt_load_relaxed(&d->top); /* `top` never goes back */
    if (newest <= seen) {
        return newest == seen ? trt_deque_pop_last(d, newest) : NULL;
    }
    TRT_DEQUE_POP_STORE(&d->bottom, newest);  /* [deque-last] and, by its release, */
    if (trt_load_seq_cst(&d->top) < newest) { /* [deque-item] */
        return trt_load_relaxed(&d->slots[(size_t)newest & d->mask]);
    }
    return trt_deque_pop_slow(d, newest);
}

/* Take the newest item if it is `item`. True: the caller took it. False: it is not the
 * newest, or a thief has taken it; the deque is as before. Owner only. Nearly free when
 * false because it is not the newest. */
static inline bool
trt_deque_pop_if(trt_deque *d, const void *item)
{
    int64_t newest = trt_load_relaxed(&d->bottom) - 1;
    if (trt_load_relaxed(&d->slots[(size_t)newest & d->mask]) != item) {
        return false;
    }
    /* In an empty deque that was a slot's old content, and pop finds nothing. */
    return trt_deque_pop(d) != NULL;
}

/* Try once to take the oldest item, unless its address has one of the bits `refused`
 * set; on TRT_STEAL_GOT it is in *out, which is untouched otherwise. Any thread, the
 * owner included. */
enum trt_steal trt_deque_steal_unless(trt_deque *d, uintptr_t refused, void **out);

/* The same with nothing refused. */
static inline enum trt_steal
trt_deque_steal(trt_deque *d, void **out)
{
    return trt_deque_steal_unless(d, 0, out);
}

/* Whether a steal that refuses these bits might succeed now. Any thread; right in the
 * same sense as trt_deque_size about the oldest item. */
bool trt_deque_offers(const trt_deque *d, uintptr_t refused);

/* How many items there are, or were a moment ago. Any thread. Exact for the owner while
 * nobody steals. After a full fence it is not 0 if an item that was pushed before the
 * pusher's fence is still there. */
size_t trt_deque_size(const trt_deque *d);

#endif
