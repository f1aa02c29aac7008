/* What the workers of one process share: the table of workers, and for each team of
 * them the sleep word, the injector and the poller.
 *
 * There are two teams. The threads of the default one take what is in the deques, their
 * own and those of all other workers. Those of the interactive one take from their
 * injector alone, so what they run is never behind what others have spawned. README.md
 * has what must hold.
 *
 * The pool starts no thread: the binding does, since a thread that runs Python is set
 * up there. A pool is created at the first spawn and is never freed while another
 * thread may look at it; a forked child leaves its parent's pool behind and makes a new
 * one.
 */
#ifndef TRT_POOL_H
#define TRT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/thread.h"
#include "queue/injector.h"
#include "sched/sleep.h"
#include "sched/worker.h"
#include "sync/poller.h"

enum {
    /* The most threads that a pool may have (main included). Each costs a stack and a
     * place in every search; far beyond the cores of any machine it only does harm. */
    TRT_POOL_MAX_THREADS = 1024,
};

/* The table of workers grows by replacement; old tables stay, since a thief may be
 * reading one. A table's first `count` entries never change. */
typedef struct trt_table {
    struct trt_table *older; /* freed with the pool */
    size_t capacity;
    _Atomic(size_t) count; /* grows under the lock; [table-count] publishes the entry */
    trt_worker *workers[];
} trt_table;

/* Places of the teams in a pool. */
enum { TRT_DEFAULT, TRT_INTERACTIVE, TRT_TEAMS };

/* The workers that take work from the same places. */
struct trt_team {
    trt_sleep sleep;
    trt_injector injector;
    trt_poller poller;
    _Atomic(size_t) running; /* threads that take work now. Written by them, read by
                              * searchers as a hint. */
    /* Who sleeps for tasks alone, or NULL: see trt_worker_sleep_for_tasks. Its owner
     * writes itself, anybody NULL. */
    _Atomic(trt_worker *) light_sleeper;
    bool steals; /* from deques, and children of native code; constant */
};

typedef struct trt_pool {
    trt_team teams[TRT_TEAMS];
    trt_mutex lock; /* guards growth of the table; nothing is taken inside */
    _Atomic(trt_table *) table; /* written under the lock; [table-grow] publishes it */
} trt_pool;

/* Prepare an empty pool. Returns 0, or a negative errno with nothing to undo. */
int trt_pool_init(trt_pool *pool);

/* Release what init took; the workers themselves belong to the caller. No thread uses
 * the pool any more. */
void trt_pool_destroy(trt_pool *pool);

/* Enter `w` into the table and set its index. Any thread. Returns 0 or -ENOMEM. */
int trt_pool_enter(trt_pool *pool, trt_worker *w);

/* The workers entered so far, at least those that were when the call began. Any thread.
 */
static inline trt_worker *const *
trt_pool_workers(trt_pool *pool, size_t *count)
{
    /* [table-grow] the copied entries are read through this pointer. */
    trt_table *const table = trt_load_acquire(&pool->table);
    /* [table-count] the entry below the count was written before it. */
    *count = trt_load_acquire(&table->count);
    return table->workers;
}

/* Wake the light sleeper if there is one. Any thread, after it has made something to do
 * visible and a light barrier. True if it has. */
static inline bool
trt_team_rouse(trt_team *team)
{
    trt_worker *w = trt_load_relaxed(&team->light_sleeper);
    return w && trt_cas_relaxed(&team->light_sleeper, &w, NULL) &&
           trt_parker_unpark(&w->parker);
}

/* Tell those who sleep that something has become visible which any of the team can do:
 * one worker, as trt_sleep_notify does, and the light sleeper. Any thread, after each
 * push. How many it has woken, 0 to 2. */
static inline unsigned
trt_team_notify(trt_team *team)
{
    const unsigned woken = trt_sleep_notify(&team->sleep);
    return woken + trt_team_rouse(team);
}

/* The same for the default team: after a push on a deque, or on its injector. */
static inline unsigned
trt_pool_notify(trt_pool *pool)
{
    return trt_team_notify(&pool->teams[TRT_DEFAULT]);
}

/* Make `item` available to the default team and wake one if that is needed. Owner of
 * `w`. Returns 0 or -ENOMEM, then nothing has happened. */
static inline int
trt_worker_push(trt_worker *w, void *item)
{
    const int error = trt_deque_push(&w->deque, item);
    if (error) {
        return error;
    }
    for (unsigned woken = trt_pool_notify(w->pool); woken > 0; woken--) {
        trt_count(&w->counters.wakes);
    }
    return 0;
}

/* How many threads take work and do not sleep; a hint. */
static inline size_t
trt_team_awake(const trt_team *team)
{
    const size_t running = trt_load_relaxed(&team->running);
    const size_t sleeping = trt_sleep_sleeping(&team->sleep);
    return running > sleeping ? running - sleeping : 1;
}

/* How many of those are on the stack of sleepers, or sleep lightly; a hint. */
static inline size_t
trt_team_sleeping(const trt_team *team)
{
    return trt_sleep_sleeping(&team->sleep) +
           (trt_load_relaxed(&team->light_sleeper) != NULL);
}

/* Hand an item to the interactive team, in the order of arrival. Any thread. Returns 0
 * or -ENOMEM, then nothing has happened. */
int trt_pool_post(trt_pool *pool, void *item);

#endif
