#include "sched/worker.h"

#include <errno.h>

#include "os/atomics.h"
#include "os/check.h"
#include "sched/gang.h"
#include "sched/pool.h"

enum {
    DEQUE_LOG2 = 8, /* first capacity: 256 entries, 2 KiB */
    INJECTOR_PERIOD =
        61,           /* a prime, so that it does not beat with patterns in the load */
    STEAL_ROUNDS = 2, /* passes over all victims before giving up */
};

int
trt_worker_init(trt_worker *w, trt_pool *pool, trt_worker_kind kind)
{
    const int team = kind == TRT_WORKER_INTERACTIVE ? TRT_INTERACTIVE : TRT_DEFAULT;
    *w = (trt_worker){
        .pool = pool, .team = &pool->teams[team], .kind = kind, .takes_injected = true};
    int error = trt_deque_init(&w->deque, DEQUE_LOG2);
    if (error) {
        return error;
    }
    trt_timers_init(&w->timers);
    trt_inbox_init(&w->inbox);
    trt_inbox_init(&w->strand_inbox);
    trt_store_relaxed(&w->frames, NULL);
    trt_parker_init(&w->parker);
    error = trt_pool_enter(pool, w);
    if (error) {
        goto fail;
    }
    w->random = (uint64_t)(w->index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return 0;

fail:
    trt_parker_destroy(&w->parker);
    trt_timers_destroy(&w->timers);
    trt_deque_destroy(&w->deque);
    return error;
}

void
trt_worker_destroy(trt_worker *w)
{
    trt_parker_destroy(&w->parker);
    trt_timers_destroy(&w->timers);
    trt_deque_destroy(&w->deque);
}

uint64_t
trt_worker_random(trt_worker *w)
{
    uint64_t x = w->random; /* xorshift64, Marsaglia 2003 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return w->random = x;
}

/* Steal from one victim until it is empty or yields something. */
static void *
steal_from(trt_worker *victim, uintptr_t refused)
{
    void *item = NULL;
    while (trt_deque_offers(&victim->deque, refused)) {
        switch (trt_deque_steal_unless(&victim->deque, refused, &item)) {
        case TRT_STEAL_GOT:
            return item;
        case TRT_STEAL_EMPTY:
        case TRT_STEAL_REFUSED:
            return NULL;
        case TRT_STEAL_LOST:
            trt_cpu_relax();
        }
    }
    return NULL;
}

static void *
steal(trt_worker *w)
{
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    for (int round = 0; round < STEAL_ROUNDS; round++) {
        const size_t first = (size_t)(trt_worker_random(w) % count);
        for (size_t i = 0; i < count; i++) {
            trt_worker *const victim = table[(first + i) % count];
            if (victim == w) {
                continue;
            }
            void *const item = steal_from(victim, w->refused);
            if (item) {
                trt_count(&w->counters.stolen);
                return item;
            }
        }
    }
    return NULL;
}

/* Native code's children that others may take, or NULL. */
static trt_frames *
shown_frames(trt_worker *victim)
{
    return trt_load_acquire(&victim->frames); /* [frames-shown] */
}

bool
trt_worker_search(trt_worker *w)
{
    if (!w->searching) {
        w->searching = trt_sleep_try_search(&w->team->sleep, trt_team_awake(w->team));
    }
    return w->searching;
}

trt_frame *
trt_worker_steal_frame(trt_worker *w, const _Atomic(uint32_t) **work)
{
    trt_worker_search(w);
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    const size_t first = (size_t)(trt_worker_random(w) % count);
    for (size_t i = 0; i < count; i++) {
        trt_worker *const victim = table[(first + i) % count];
        trt_frames *const frames = victim == w ? NULL : shown_frames(victim);
        trt_frame *const frame = frames ? trt_frames_steal(frames, work) : NULL;
        if (frame) {
            trt_count(&w->counters.stolen);
            trt_worker_stop_searching(w);
            return frame;
        }
    }
    return NULL;
}

void
trt_worker_stop_searching(trt_worker *w)
{
    if (w->searching) {
        w->searching = false;
        trt_sleep_found(&w->team->sleep);
    }
}

/* Order of search of the default team. */
static void *
take_anywhere(trt_worker *w)
{
    trt_injector *const injector = &w->team->injector;
    void *item = NULL;
    if (++w->tick % INJECTOR_PERIOD == 0 && w->takes_injected) {
        item = trt_injector_pop(injector);
    }
    if (!item) {
        item = w->refuses_own ? steal_from(w, w->refused) : trt_deque_pop(&w->deque);
    }
    if (!item && w->takes_injected) {
        item = trt_injector_pop(injector);
    }
    if (!item) {
        trt_worker_search(w);
        item = steal(w);
    }
    return item;
}

/* The same of the interactive one. */
static void *
take_posted(trt_worker *w)
{
    void *const item = trt_injector_pop(&w->team->injector);
    if (item) {
        return item;
    }
    trt_worker_search(w);
    return trt_injector_pop(&w->team->injector);
}

void *
trt_worker_take(trt_worker *w)
{
    void *const item = w->team->steals ? take_anywhere(w) : take_posted(w);
    if (item) {
        trt_worker_stop_searching(w);
    }
    return item;
}

static bool
sees_injected(const trt_worker *w)
{
    return w->takes_injected && trt_injector_size(&w->team->injector) > 0;
}

bool
trt_worker_has_at_hand(trt_worker *w)
{
    return sees_injected(w) ||
           (w->team->steals && !w->refuses_own && trt_deque_size(&w->deque) > 0);
}

bool
trt_worker_sees_tasks(trt_worker *w)
{
    if (!trt_inbox_is_empty(&w->inbox) || !trt_inbox_is_empty(&w->strand_inbox) ||
        sees_injected(w)) {
        return true;
    }
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    for (size_t i = 0; w->team->steals && i < count; i++) {
        const bool takes_all = table[i] == w && !w->refuses_own;
        if (trt_deque_offers(&table[i]->deque, takes_all ? 0 : w->refused)) {
            return true;
        }
    }
    return false;
}

bool
trt_worker_sees_refused(trt_worker *w)
{
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    for (size_t i = 0; w->refused && i < count; i++) {
        if (table[i] != w && trt_deque_offers(&table[i]->deque, 0)) {
            return true;
        }
    }
    return false;
}

static bool
sees_frames(trt_worker *w)
{
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    for (size_t i = 0; i < count; i++) {
        const trt_frames *const frames = table[i] == w ? NULL : shown_frames(table[i]);
        if (frames && trt_frames_offer(frames)) {
            return true;
        }
    }
    return false;
}

bool
trt_worker_sees_work(trt_worker *w)
{
    return trt_worker_sees_tasks(w) || (w->team->steals && sees_frames(w));
}

void
trt_worker_need_poller(trt_team *team)
{
    if (!trt_load_seq_cst(&team->poller.held)) { /* [poller-waits] */
        trt_team_notify(team);
    }
}

/* Park, with the poller if somebody has to have it. */
static enum trt_park_result
park(trt_worker *w, uint64_t deadline_ns, bool signals)
{
    trt_poller *const poller = &w->team->poller;
    const bool holds = trt_poller_try_hold(poller);
    const bool polls =
        holds && trt_parker_watch(&w->parker, trt_poller_fd(poller)) == 0;
    enum trt_park_result why = polls || signals
                                   ? trt_parker_park_signals(&w->parker, deadline_ns)
                                   : trt_parker_park(&w->parker, deadline_ns);
    if (polls) {
        trt_parker_watch(&w->parker, -1);
        if (trt_poller_collect(poller) > 0 && !signals) {
            why = TRT_PARK_NOTIFIED;
        }
    }
    if (holds) {
        trt_poller_release(poller);
    }
    return why;
}

/* The worker has been drafted from the stack of sleepers: do its duties, which nobody
 * else has taken over, then the job. `found`: its rescan saw work. True: it is to leave
 * sleep. */
static bool
serve_gang(trt_worker *w, bool found)
{
    w->searching = false; /* a draft counts nobody as a searcher */
    if (found) {
        trt_team_notify(w->team); /* as S2: who brought it may count on its search */
    }
    if (trt_load_seq_cst(&w->team->poller.waits) > 0) { /* [poller-waits] */
        trt_worker_need_poller(w->team);
    }
    return trt_gang_serve(w) || found;
}

/* Steps G1 to L1, once. True if it was drafted, has done its jobs, and nothing else has
 * woken it: then it sleeps again, without a look at what a thread of its kind needs to
 * go on, such as the interpreter. */
static bool
sleep_once(trt_worker *w, uint64_t deadline_ns, bool signals,
           bool (*asleep)(trt_worker *), enum trt_park_result *why)
{
    trt_sleep *const sleep = &w->team->sleep;
    bool nudged = false;
    *why = TRT_PARK_NOTIFIED;
    trt_sleep_announce(sleep, w->index, &w->parker, w->searching); /* G1, G2 */
    w->searching = false;
    trt_gang_settle(w); /* on the stack now, so no more on its way there */
    trt_sleep_tell(sleep);
    const bool found = trt_worker_sees_work(w);
    if (!found && (!asleep || asleep(w))) { /* G3 */
        trt_count(&w->counters.sleeps);
        *why = park(w, deadline_ns, signals); /* G4 */
        nudged = *why == TRT_PARK_NOTIFIED && trt_parker_was_nudged(&w->parker);
    }
    /* Woken for its inbox alone, it need not search. Having found work it must: whoever
     * brought that may have counted on it. */
    const bool search = found || (trt_inbox_is_empty(&w->inbox) &&
                                  trt_inbox_is_empty(&w->strand_inbox));
    w->searching = trt_sleep_retract(sleep, w->index, search); /* L1 */
    return trt_load_relaxed(&w->drafted) && !serve_gang(w, found) && nudged;
}

enum trt_park_result
trt_worker_sleep(trt_worker *w, uint64_t deadline_ns, bool signals,
                 bool (*asleep)(trt_worker *))
{
    enum trt_park_result why;
    while (sleep_once(w, deadline_ns, signals, asleep, &why)) {
    }
    if (trt_gang_settle(w)) {
        trt_sleep_tell(&w->team->sleep);
    }
    if (!w->searching && trt_load_seq_cst(&w->team->poller.waits) > 0) {
        trt_worker_need_poller(w->team); /* a searcher's place is taken by S2 or G3 */
    }
    return why;
}

enum trt_park_result
trt_worker_sleep_for_tasks(trt_worker *w, uint64_t deadline_ns, bool signals,
                           bool (*asleep)(trt_worker *))
{
    enum trt_park_result why = TRT_PARK_NOTIFIED;
    TRT_ASSERT(!w->searching);
    trt_store_relaxed(&w->team->light_sleeper, w);
    trt_barrier_heavy(); /* [asym-fence] as G2: of a push and this, one sees the other
                          */
    if (!trt_worker_sees_tasks(w) && (!asleep || asleep(w))) {
        trt_count(&w->counters.sleeps);
        why = park(w, deadline_ns, signals);
    }
    trt_store_relaxed(&w->team->light_sleeper, NULL);
    if (trt_load_seq_cst(&w->team->poller.waits) > 0) { /* [poller-waits] */
        trt_worker_need_poller(w->team);
    }
    return why;
}

int
trt_worker_hand_over(trt_worker *w)
{
    void *item;
    while ((item = trt_deque_pop(&w->deque)) != NULL) {
        const int error =
            trt_injector_push(&w->pool->teams[TRT_DEFAULT].injector, item);
        if (error) {
            /* It was the newest entry, and pushing back needs no new space. */
            const int again = trt_deque_push(&w->deque, item);
            TRT_ASSERT(again == 0);
            (void)again;
            return error;
        }
        trt_pool_notify(w->pool);
    }
    return 0;
}
