/* One thread's place in the pool: its queues, its parker, its counters.
 *
 * Every thread that has ever spawned has a trt_worker: the main thread, the pool's own
 * threads and foreign threads (any other). All of them push on their own deque and are
 * stolen from; only main and the default team's threads take work of others. The
 * binding embeds a trt_worker at the head of its own record.
 *
 * Order of search (trt_worker_take): the injector first every 61st time, so that work
 * from outside cannot starve; own deque, newest first; the injector; the deques of
 * others, oldest first, from a random start. An interactive worker looks at its team's
 * injector alone; its deque is for what it spawns, which others take. What only this
 * worker may run (its inbox, its timers) is looked at by the caller, before.
 */
#ifndef TRT_WORKER_H
#define TRT_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/parker.h"
#include "queue/deque.h"
#include "queue/frames.h"
#include "queue/inbox.h"
#include "queue/timers.h"
#include "trace/counters.h"

struct trt_gang;
struct trt_hall;
struct trt_pool;
typedef struct trt_team trt_team;

typedef enum trt_worker_kind {
    TRT_WORKER_MAIN,        /* the main thread, worker 0: works while it waits */
    TRT_WORKER_POOL,        /* a thread that the default team has started */
    TRT_WORKER_INTERACTIVE, /* one that the interactive team has started */
    TRT_WORKER_FOREIGN, /* any other thread: spawns, is stolen from, takes nothing */
} trt_worker_kind;

/* Initialise with trt_worker_init. Lives as long as its pool: thieves may look at the
 * deque and wakers at the parker at any time, so the record of a thread that has ended
 * is reused, never freed. Owner: the thread it stands for, except where a field says
 * otherwise. */
typedef struct trt_worker {
    trt_deque deque;        /* owner pushes and pops, any thread steals */
    trt_inbox inbox;        /* any thread pushes, owner takes */
    trt_inbox strand_inbox; /* the same for native code that can go on */
    /* The children of the native code that runs on this thread now, or NULL. Owner
     * writes, thieves reach them through it [frames-shown]. */
    _Atomic(trt_frames *) frames;
    trt_parker parker;     /* any thread unparks, owner parks */
    trt_timers timers;     /* owner only */
    trt_counters counters; /* owner writes, any thread reads */
    struct trt_pool *pool; /* constant after init */
    trt_team *team;        /* whose work it takes; constant after init */
    size_t index;          /* place in the pool's table, constant */
    trt_worker_kind kind;  /* constant while a thread uses the record */
    /* The gang that it has been drafted for, see gang.h, or NULL. Written under
     * sleep.lock or hall->lock by who drafts, then by the owner; with it `hall`
     * [gang-draft]. */
    _Atomic(struct trt_gang *) drafted;
    struct trt_hall *hall;
    struct trt_worker *next_lounging; /* under hall->lock */
    bool leaves_lounge;               /* from there to the stack of sleepers; owner */
    uintptr_t refused;   /* bits of an item that this worker does not steal */
    bool refuses_own;    /* nor take from its own deque */
    bool takes_injected; /* whether it takes from the injector */
    bool searching;      /* whether the sleep word counts this worker as a searcher */
    uint32_t tick;       /* takes so far, for the injector's turn */
    uint64_t random;     /* xorshift state, see trt_worker_random; never 0 */
} trt_worker;

/* Prepare `w` and enter it into the pool's table, where thieves find it. Any thread.
 * Returns 0, or a negative errno with nothing to undo. */
int trt_worker_init(trt_worker *w, struct trt_pool *pool, trt_worker_kind kind);

/* Release what init took. Only when no other thread can reach the pool any more. */
void trt_worker_destroy(trt_worker *w);

/* Whether the runtime has started its thread. */
static inline bool
trt_worker_is_started(const trt_worker *w)
{
    return w->kind == TRT_WORKER_POOL || w->kind == TRT_WORKER_INTERACTIVE;
}

/* A number that nobody foresees who is not told the worker's place: the first victim of
 * a thief, the order of a select. Never 0. Owner. */
uint64_t trt_worker_random(trt_worker *w);

/* Take an item in the order of search, or NULL. Owner; not foreign threads. A worker
 * that finds nothing may be left counted as a searcher: it goes on to trt_worker_sleep
 * or to trt_worker_stop_searching. */
void *trt_worker_take(trt_worker *w);

/* Take the oldest child of native code of another worker, or NULL. `work` is
 * for trt_frames_steal. Counts as searching, as trt_worker_take does. Owner,
 * attached or not. */
trt_frame *trt_worker_steal_frame(trt_worker *w, const _Atomic(uint32_t) **work);

/* Stop being counted as a searcher, if counted, and pass the duty on. Owner. */
void trt_worker_stop_searching(trt_worker *w);

/* Whether an inbox, the injector, any deque, or any native code seems to have
 * something that this worker may take. Owner. */
bool trt_worker_sees_work(trt_worker *w);

/* The same without the children of native code. */
bool trt_worker_sees_tasks(trt_worker *w);

/* Whether this worker's own queue, or its team's injector, seems to have an item that
 * it may take. Owner. */
bool trt_worker_has_at_hand(trt_worker *w);

/* Whether a deque offers something that this worker does not steal. Owner, when it sees
 * no other. */
bool trt_worker_sees_refused(trt_worker *w);

/* Count as one who looks for work, unless enough others do. Whether it does now. Owner.
 */
bool trt_worker_search(trt_worker *w);

/* Somebody of the team waits for descriptors from now on, see trt_poller: have one who
 * sleeps take the poller, if nobody holds it. Any thread. */
void trt_worker_need_poller(trt_team *team);

/* Sleep until something may be there to do: going to sleep, steps G1 to L1 of
 * README.md; on the way, run the jobs of gangs that it is drafted for. Returns why;
 * NOTIFIED also when the rescan found something. The caller is
 * counted as a searcher afterwards. `deadline_ns` on the monotonic clock or
 * TRT_FOREVER. With `signals` the parker has signals enabled, and one that arrives ends
 * the sleep as INTERRUPTED. `asleep`, unless NULL, is called when this worker has
 * announced itself and found nothing; false from it means do not park. Owner, detached.
 */
enum trt_park_result trt_worker_sleep(trt_worker *w, uint64_t deadline_ns, bool signals,
                                      bool (*asleep)(trt_worker *));

/* The same for a worker that takes no children of native code now, and must not be
 * woken for each: it is not among the sleepers, and each push of a task wakes it. One
 * worker of a pool at a time, which does not search. Returns why it went on. */
enum trt_park_result trt_worker_sleep_for_tasks(trt_worker *w, uint64_t deadline_ns,
                                                bool signals,
                                                bool (*asleep)(trt_worker *));

/* Move what is left in the deque to the default team's injector. Owner, at the end of
 * its thread. Returns 0 or -ENOMEM, then the rest stays where thieves find it. */
int trt_worker_hand_over(trt_worker *w);

#endif
