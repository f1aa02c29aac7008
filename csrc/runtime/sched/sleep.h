/* Whom to wake, and how to fall asleep without missing work.
 *
 * One trt_sleep serves all workers of a pool. A worker is in one of three conditions:
 *
 *   busy       runs a task, or does anything else than look for work; not counted
 *   searching  looks for work and is counted as a searcher
 *   sleeping   on the stack of sleepers; parked, about to park, or about to leave
 *
 * Producers wake a sleeper only while nobody searches. README.md beside this file has
 * the protocol in numbered steps (P: producer, S: searcher, G: going to sleep, L:
 * leaving sleep) and the reason why no wake-up is lost.
 *
 * Life of a worker:
 *
 *     bool searching = trt_sleep_try_search(s, awake);        S1
 *     while (!(task = take_any())) {
 *         trt_sleep_announce(s, id, parker, searching);       G1, G2
 *         if (!anything_to_take()) {                          G3
 *             trt_parker_park(parker, next_deadline);         G4
 *         }
 *         searching = trt_sleep_retract(s, id, true);         L1
 *     }
 *     if (searching) {
 *         trt_sleep_found(s);                                 S2
 *     }
 *     run(task);
 *
 * Shutdown, and work that one worker alone can do (its inbox), do not go through here:
 * whoever brings them unparks that worker, always, and touches no count. The worker
 * itself corrects the counts with trt_sleep_retract when it leaves park.
 */
#ifndef TRT_SLEEP_H
#define TRT_SLEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/barrier.h"
#include "os/parker.h"
#include "os/thread.h"

/* The packed word:
 *
 *     31            16 15             0
 *    +----------------+----------------+
 *    |   searching    |    sleeping    |
 *    +----------------+----------------+
 *
 *   searching  workers that are searching, including those that a waker has counted and
 *              that have not run yet
 *   sleeping   workers on the stack of sleepers
 *
 * A worker is counted at most once: searching + sleeping <= max_workers. The sleeping
 * half changes only under the lock, so there it equals the height of the stack.
 */
enum {
    TRT_SLEEP_BITS = 16,
    TRT_SLEEP_MAX_WORKERS = (1 << TRT_SLEEP_BITS) - 1,
};
#define TRT_SLEEP_ONE_SLEEPING ((uint32_t)1)
#define TRT_SLEEP_ONE_SEARCHING ((uint32_t)1 << TRT_SLEEP_BITS)

/* Counts in a value of the word. */
static inline uint32_t
trt_sleep_word_searching(uint32_t word)
{
    return word >> TRT_SLEEP_BITS;
}

static inline uint32_t
trt_sleep_word_sleeping(uint32_t word)
{
    return word & (TRT_SLEEP_ONE_SEARCHING - 1);
}

/* Whether work that has just become visible obliges whoever saw this value to wake. */
static inline bool
trt_sleep_word_wants_wake(uint32_t word)
{
    return trt_sleep_word_searching(word) == 0 && trt_sleep_word_sleeping(word) > 0;
}

/* A worker on the stack, and the parker it sleeps on (owned by the worker). */
typedef struct trt_sleeper {
    size_t id;
    trt_parker *parker;
} trt_sleeper;

/* Initialise with trt_sleep_init. Must not be copied or moved.
 *
 * The parker of a worker stays valid until no thread can be inside trt_sleep_notify or
 * trt_sleep_found any more: a waker unparks after it has let go of the lock, perhaps
 * when the worker has already left on its own account. */
typedef struct trt_sleep trt_sleep;
struct trt_sleep {
    /* Written by searchers, sleepers and wakers, read by every producer: hence on a
     * line of its own, away from the lock. Publishes nothing else; [asym-fence] orders
     * it against the queues. */
    TRT_ALIGNED_TO_LINE _Atomic(uint32_t) word;

    TRT_ALIGNED_TO_LINE trt_mutex lock; /* guards the stack; nothing is taken inside */
    trt_sleeper *stack;                 /* most recent last; `sleeping` is its height */
    /* Those that P4 has taken off the stack and that have not come to L1. */
    trt_sleeper *woken;
    size_t woken_count;
    size_t max_workers; /* constant after init */
    /* Called after a change of the number of sleepers, by who has made it and under no
     * lock; NULL: nobody. Any thread writes it. See trt_sleep_tell. */
    _Atomic(void (*)(trt_sleep *)) told;
};

/* Prepare for max_workers workers, at least 1 and at most TRT_SLEEP_MAX_WORKERS; nobody
 * is counted. Calls trt_barrier_init. Returns 0, or a negative errno with nothing to
 * undo. */
int trt_sleep_init(trt_sleep *s, size_t max_workers);

/* Release what init took. No thread uses `s` any more and nobody is counted in it. */
void trt_sleep_destroy(trt_sleep *s);

/* Steps P4 and P5, for trt_sleep_notify and trt_sleep_found alone. True if it has woken
 * somebody. */
bool trt_sleep_wake_slow(trt_sleep *s);

/* Tell the sleepers that work has become visible: wakes one worker if nobody searches
 * and somebody sleeps. Any thread may call it, after each push. Takes the lock only if
 * it seems to have somebody to wake; that worker is unparked after the lock is
 * released. True if it has woken one. */
static inline bool
trt_sleep_notify(trt_sleep *s)
{
    trt_barrier_light(); /* P2 [asym-fence]: the push, then the look at the word */
    if (trt_sleep_word_wants_wake(trt_load_relaxed(&s->word))) { /* P3 */
        return trt_sleep_wake_slow(s);
    }
    return false;
}

/* Become a searcher (S1) unless enough others are: succeeds if nobody searches, or if
 * fewer than half of the `awake` workers do. Called by a busy worker. A worker that is
 * refused may still look around; it is not counted and producers do not rely on it. */
bool trt_sleep_try_search(trt_sleep *s, size_t awake);

/* Stop being a searcher (S2), with work in hand or because there is something else to
 * do: a task of one's own inbox, the end of a wait, leaving the pool. The caller is a
 * searcher and is busy afterwards. If it was the last one, producers have relied on it
 * alone, so it wakes the next sleeper, in the same way as trt_sleep_notify. */
void trt_sleep_found(trt_sleep *s);

/* Steps G1 and G2 of going to sleep: worker `id` stands on the stack of sleepers and is
 * no longer a searcher (`searching` says if it was one). Called by that worker, which
 * is not on the stack. On return it must rescan everything it could run (G3) before it
 * parks on `parker` (G4), and leave with trt_sleep_retract. */
void trt_sleep_announce(trt_sleep *s, size_t id, trt_parker *parker, bool searching);

/* Tell who wants to know that the number of sleepers has changed. Left to the worker
 * after trt_sleep_announce, done by the others that make such a change. */
void trt_sleep_tell(trt_sleep *s);

/* Leave sleep (L1); by worker `id`, once after each announce. Returns whether the
 * caller is counted as a searcher now.
 *
 * With `search` it always is. Without, it is busy afterwards, unless a waker had
 * counted it already; this saves waking somebody else for nothing when the worker has
 * something at hand (a task of its inbox, a timer, the end of its wait). Without is
 * allowed only if the rescan of step G3 has found nothing: work found there may have no
 * other searcher.
 *
 * A waker that has counted the caller has unparked it or will: the parker may hold a
 * token now or get one later, which makes one later park return at once. */
bool trt_sleep_retract(trt_sleep *s, size_t id, bool search);

/* Take up to `most` workers off the stack, the most recent first, and then of those
 * that have been woken and do not run yet. Write their parkers to `drafted`: they are
 * busy from now on. For each `mark(parker, arg)` is called under the lock; the caller
 * then nudges it. The worker is not counted as a searcher: in trt_sleep_retract, which
 * says that it is, it has to find the mark. If its rescan has found something, it has
 * to notify before it does anything else. Returns how many. Any thread. Does not call
 * `told`. */
size_t trt_sleep_draft(trt_sleep *s, size_t most, trt_parker **drafted,
                       void (*mark)(trt_parker *, void *), void *arg);

/* Counts at some moment during the call. Any thread; hints only. */
static inline uint32_t
trt_sleep_sleeping(const trt_sleep *s)
{
    return trt_sleep_word_sleeping(trt_load_relaxed(&s->word));
}

static inline uint32_t
trt_sleep_searching(const trt_sleep *s)
{
    return trt_sleep_word_searching(trt_load_relaxed(&s->word));
}

#endif
