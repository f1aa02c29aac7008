/* A count of permits; a lock has one.
 *
 * Taking a permit that is there, and giving one back while nobody waits, is one
 * compare-and-swap. Who finds none waits in the order of arrival.
 *
 * Fairness: a permit that comes back is free for anybody while the first that waits is
 * being woken up, since it is cheaper to go on than to wait for a thread to get up. If
 * that one comes too late it waits again, before all that were not woken up yet, and a
 * permit is handed to it as soon as those that came too late before it have theirs:
 * nobody is overtaken for longer than one wake-up once it is the first.
 *
 * The word is (permits << 1) + QUEUED. QUEUED says that a queue may have somebody in
 * it; it changes under the lock alone. While it is set, permits come back under the
 * lock, so who has set it and found no permit in the same step misses none.
 */
#ifndef TRT_SEMAPHORE_H
#define TRT_SEMAPHORE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/thread.h"
#include "sync/wait_queue.h"

enum { TRT_SEMAPHORE_QUEUED = 1, TRT_SEMAPHORE_ONE = 2 };
#define TRT_SEMAPHORE_MAX (UINT64_MAX / 2 / TRT_SEMAPHORE_ONE)

typedef struct trt_semaphore {
    /* Any thread. Acquired when a permit is taken and released when it comes back: what
     * was written under a lock is seen under it [semaphore-word]. */
    _Atomic(uint64_t) word;
    trt_mutex lock;        /* guards the queues and QUEUED; nothing is taken inside */
    trt_wait_queue losers; /* that have `lost`; with one undecided there is no permit */
    trt_wait_queue queue;
    uint64_t most; /* permits at most; constant */
} trt_semaphore;

/* `permits` of at most `most`, which is at most TRT_SEMAPHORE_MAX. */
void trt_semaphore_init(trt_semaphore *s, uint64_t permits, uint64_t most);

/* Nobody waits or will. */
void trt_semaphore_destroy(trt_semaphore *s);

/* Permits that are there at some moment during the call. Any thread. */
static inline uint64_t
trt_semaphore_permits(const trt_semaphore *s)
{
    return trt_load_relaxed(&s->word) / TRT_SEMAPHORE_ONE;
}

/* Take a permit if there is one. Any thread. */
static inline bool
trt_semaphore_try_acquire(trt_semaphore *s)
{
    uint64_t word = trt_load_relaxed(&s->word);
    while (word >= TRT_SEMAPHORE_ONE) {
        /* [semaphore-word] */
        if (trt_cas_acq_rel(&s->word, &word, word - TRT_SEMAPHORE_ONE)) {
            return true;
        }
    }
    return false;
}

/* Take a permit and return true, or enter the node. A node that is served then has a
 * permit if `value` is not NULL; otherwise one was there when it was woken up: it calls
 * this again, having set `lost` and made the waiter anew. */
bool trt_semaphore_acquire_or_queue(trt_semaphore *s, trt_wait_node *node);

/* The node's waiter was abandoned: take it out of the queue. */
void trt_semaphore_leave(trt_semaphore *s, trt_wait_node *node);

/* The node was served without a permit and will not call again: let the next one have
 * what it was woken up for. */
void trt_semaphore_pass_on(trt_semaphore *s);

/* How many wait at some moment during the call. Any thread. */
size_t trt_semaphore_waiting(trt_semaphore *s);

/* For trt_semaphore_release alone. */
bool trt_semaphore_release_slow(trt_semaphore *s);

/* Give a permit back, and let one go on that waits for it. False: there were as many as
 * there may be, and nothing has happened. Any thread, without locks. */
static inline bool
trt_semaphore_release(trt_semaphore *s)
{
    uint64_t word = trt_load_relaxed(&s->word);
    while (!(word & TRT_SEMAPHORE_QUEUED) && word / TRT_SEMAPHORE_ONE < s->most) {
        /* [semaphore-word] */
        if (trt_cas_acq_rel(&s->word, &word, word + TRT_SEMAPHORE_ONE)) {
            return true;
        }
    }
    return trt_semaphore_release_slow(s);
}

/* Give `n` permits back at once, all or none, in time that does not depend on `n` but
 * on how many wait. False: there would be more than there may be. */
bool trt_semaphore_release_many(trt_semaphore *s, uint64_t n);

#endif
