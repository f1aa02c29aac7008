/* The real sched/sleep.h, sched/sleep.c and os/parker.c under GenMC, with full fences
 * as barriers (it knows no system-wide fence). Producers push one item each; a worker
 * takes one and stays busy. A worker that would sleep in the kernel ends there; what it
 * would have waited for is looked at when all threads have ended.
 *
 *     -DWORKERS=1 -DPRODUCERS=1
 *
 * Planted bugs: -DNO_LIGHT, -DNO_HEAVY, -DNO_RESCAN.
 */
#include "genmc.h"

#include <errno.h>

#include "os/atomics.h"

/* To GenMC errno is one variable for all threads. */
#undef errno
static _Thread_local int own_errno;
#define errno own_errno

/* GenMC 0.11 adds 32-bit words without wrapping around, so add by compare-and-swap. */
#undef trt_fetch_add_relaxed
#define trt_fetch_add_relaxed(p, v) add_by_cas((p), (v))

static inline uint32_t
add_by_cas(_Atomic(uint32_t) *word, uint32_t delta)
{
    uint32_t before = trt_load_relaxed(word);
    while (!trt_cas_relaxed(word, &before, before + delta)) {
    }
    return before;
}

#include "os/barrier.h"

#ifdef NO_LIGHT
#define trt_barrier_light() ((void)0)
#endif

#include "os/parker.c"
#include "sched/sleep.c"

#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef PRODUCERS
#define PRODUCERS 1
#endif

_Atomic(bool) trt_barrier_asymmetric;

void
trt_barrier_init(void)
{
    atomic_init(&trt_barrier_asymmetric, false);
}

void
trt_barrier_heavy(void)
{
#ifndef NO_HEAVY
    trt_fence_seq_cst();
#endif
}

uint64_t
trt_clock_now_ns(void)
{
    return 0;
}

void
trt_mutex_init(trt_mutex *m)
{
    pthread_mutex_init(&m->handle, NULL);
}

void
trt_mutex_destroy(trt_mutex *m)
{
    (void)m;
}

void
trt_mutex_lock(trt_mutex *m)
{
    pthread_mutex_lock(&m->handle);
}

void
trt_mutex_unlock(trt_mutex *m)
{
    pthread_mutex_unlock(&m->handle);
}

void
trt_parker_os_init(trt_parker *p)
{
    (void)p;
}

void
trt_parker_os_destroy(trt_parker *p)
{
    (void)p;
}

enum trt_parker_end
trt_parker_os_sleep(trt_parker *p, uint64_t deadline_ns)
{
    (void)deadline_ns;
    if (trt_load_relaxed(&p->word) == TRT_PARKER_ASLEEP) {
        pthread_exit(NULL);
    }
    return TRT_PARKER_WOKEN;
}

void
trt_parker_os_wake(trt_parker *p)
{
    (void)p;
}

int
trt_parker_os_open(trt_parker *p)
{
    (void)p;
    return 0;
}

void
trt_parker_os_close(trt_parker *p)
{
    (void)p;
}

enum trt_parker_end
trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns)
{
    return trt_parker_os_sleep(p, deadline_ns);
}

bool
trt_parker_os_read(trt_parker *p)
{
    (void)p;
    return false;
}

void
trt_parker_os_ring(trt_parker *p)
{
    (void)p;
}

static trt_sleep sleepers;
static trt_parker parkers[WORKERS];
static _Atomic(int) pushed[PRODUCERS]; /* 1: there; 2: taken */

static bool
take(void)
{
    for (int i = 0; i < PRODUCERS; i++) {
        int there = 1;
        if (trt_load_relaxed(&pushed[i]) == 1 &&
            trt_cas_acq_rel(&pushed[i], &there, 2)) {
            return true;
        }
    }
    return false;
}

static bool
sees_work(void)
{
#ifndef NO_RESCAN
    for (int i = 0; i < PRODUCERS; i++) {
        if (trt_load_relaxed(&pushed[i]) == 1) {
            return true;
        }
    }
#endif
    return false;
}

static void *
work(void *data)
{
    const size_t id = (size_t)((trt_parker *)data - parkers);
    bool searching = trt_sleep_try_search(&sleepers, WORKERS);
    while (!take()) {
        trt_sleep_announce(&sleepers, id, data, searching);
        if (!sees_work()) {
            trt_parker_park(data, TRT_FOREVER);
        }
        searching = trt_sleep_retract(&sleepers, id, true);
    }
    if (searching) {
        trt_sleep_found(&sleepers);
    }
    return NULL;
}

static void *
produce(void *data)
{
    trt_store_release((_Atomic(int) *)data, 1);
    trt_sleep_notify(&sleepers);
    return NULL;
}

int
main(void)
{
    pthread_t threads[WORKERS + PRODUCERS];
    if (trt_sleep_init(&sleepers, WORKERS) != 0) {
        return 0;
    }
    for (int i = 0; i < WORKERS; i++) {
        trt_parker_init(&parkers[i]);
        pthread_create(&threads[i], NULL, work, &parkers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_create(&threads[WORKERS + i], NULL, produce, (void *)&pushed[i]);
    }
    for (int i = 0; i < WORKERS + PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    bool asleep = false;
    bool waking = false;
    for (int i = 0; i < WORKERS; i++) {
        const uint32_t word = trt_load_relaxed(&parkers[i].word);
        asleep = asleep || word == TRT_PARKER_ASLEEP;
        waking = waking || word == TRT_PARKER_TOKEN;
    }
    bool left = false;
    for (int i = 0; i < PRODUCERS; i++) {
        left = left || trt_load_relaxed(&pushed[i]) == 1;
    }
    /* A worker that wakes takes an item and wakes the next. */
    assert(!left || !asleep || waking);
    return 0;
}
