/* Threads that sleep and wake as a pool's workers do, for tests of the sleep protocol.
 *
 *     struct troupe t = {.workers = 2, .producers = 1, .run = what_an_item_does};
 *     troupe_open(&t, true);
 *     check_run_threads(3, play, &t);    // the first two call troupe_work
 *     troupe_close(&t);
 */
#ifndef TRT_TEST_TROUPE_H
#define TRT_TEST_TROUPE_H

#include "check.h"

#include "os/barrier.h"
#include "queue/deque.h"
#include "sched/sleep.h"

enum { TROUPE_MOST = 8 }; /* workers, and producers */

/* Threads below `workers` are workers, the others producers, each with a deque that all
 * workers steal from. */
struct troupe {
    trt_sleep sleep;
    unsigned workers;
    unsigned producers;
    trt_parker parkers[TROUPE_MOST];        /* of the workers */
    _Atomic(uint64_t) letters[TROUPE_MOST]; /* what only this worker may do; any adds */
    trt_deque deques[TROUPE_MOST];          /* of the producers */
    trt_parker waiting[TROUPE_MOST];        /* a producer, for its item to be run */
    void (*run)(struct troupe *, unsigned worker, void *item);
    _Atomic(bool) stop;
    _Atomic(uint64_t) items_pushed;
    _Atomic(uint64_t) items_run;
    _Atomic(uint64_t) letters_sent;
    _Atomic(uint64_t) letters_read;
    _Atomic(unsigned) producers_done;
    bool restless; /* workers also wake by their clock */
};

/* After trt_sleep_init, which prefers the asymmetric one: false takes the barriers of a
 * kernel that does not help. Before there are threads. */
static inline void
troupe_choose_barrier(bool asymmetric)
{
    if (!asymmetric) {
        trt_store_relaxed(&trt_barrier_asymmetric, false);
    }
}

static inline void
troupe_open(struct troupe *t, bool asymmetric)
{
    CHECK_EQ(trt_sleep_init(&t->sleep, t->workers), 0);
    troupe_choose_barrier(asymmetric);
    for (unsigned i = 0; i < TROUPE_MOST; i++) {
        trt_parker_init(&t->parkers[i]);
        trt_parker_init(&t->waiting[i]);
        CHECK_EQ(trt_deque_init(&t->deques[i], 3), 0);
    }
}

static inline void
troupe_close(struct troupe *t)
{
    CHECK_EQ(trt_load_relaxed(&t->sleep.word), 0);
    trt_sleep_destroy(&t->sleep);
    for (unsigned i = 0; i < TROUPE_MOST; i++) {
        CHECK_EQ(trt_deque_size(&t->deques[i]), 0);
        trt_deque_destroy(&t->deques[i]);
        trt_parker_destroy(&t->parkers[i]);
        trt_parker_destroy(&t->waiting[i]);
    }
}

static inline void
troupe_stop(struct troupe *t)
{
    trt_store_release(&t->stop, true);
    for (unsigned i = 0; i < t->workers; i++) {
        trt_parker_unpark(&t->parkers[i]);
    }
}

static inline void *
troupe_take(struct troupe *t)
{
    for (unsigned i = 0; i < t->producers; i++) {
        void *item;
        enum trt_steal result;
        do {
            result = trt_deque_steal(&t->deques[i], &item);
        } while (result == TRT_STEAL_LOST);
        if (result == TRT_STEAL_GOT) {
            return item;
        }
    }
    return NULL;
}

static inline bool
troupe_has_own_work(struct troupe *t, unsigned id)
{
    return trt_load_acquire(&t->stop) || trt_load_relaxed(&t->letters[id]) > 0;
}

static inline bool
troupe_sees_work(struct troupe *t, unsigned id)
{
    bool work = troupe_has_own_work(t, id);
    for (unsigned i = 0; i < t->producers && !work; i++) {
        work = trt_deque_size(&t->deques[i]) > 0;
    }
    return work;
}

/* Steps G1 to L1. Returns whether the worker is a searcher. */
static inline bool
troupe_fall_asleep(struct troupe *t, unsigned id, bool searching, uint64_t *random)
{
    trt_sleep_announce(&t->sleep, id, &t->parkers[id], searching);
    const bool work = troupe_sees_work(t, id);
    if (!work) {
        const bool by_clock = t->restless && check_random(random, 4) == 0;
        trt_parker_park(&t->parkers[id],
                        by_clock ? trt_clock_now_ns() + check_random(random, 20000)
                                 : TRT_FOREVER);
    }
    return trt_sleep_retract(&t->sleep, id, work || !troupe_has_own_work(t, id));
}

static inline void
troupe_stop_searching(struct troupe *t, bool *searching)
{
    if (*searching) {
        *searching = false;
        trt_sleep_found(&t->sleep);
    }
}

/* What a worker does until it is told to stop and there is nothing left. */
static inline void
troupe_work(struct troupe *t, unsigned id)
{
    uint64_t random = check_random_start(id);
    bool searching = false;
    for (;;) {
        const bool stop = trt_load_acquire(&t->stop); /* before the look around */
        const uint64_t letters = trt_exchange_acq_rel(&t->letters[id], 0);
        if (letters > 0) {
            troupe_stop_searching(t, &searching);
            trt_fetch_add_relaxed(&t->letters_read, letters);
            continue;
        }
        if (!searching) {
            const size_t awake = t->workers - trt_sleep_sleeping(&t->sleep);
            searching = trt_sleep_try_search(&t->sleep, awake);
        }
        void *item = troupe_take(t);
        if (item != NULL) {
            troupe_stop_searching(t, &searching);
            t->run(t, id, item);
            trt_fetch_add_acq_rel(&t->items_run, 1);
        } else if (stop) {
            troupe_stop_searching(t, &searching);
            return;
        } else {
            searching = troupe_fall_asleep(t, id, searching, &random);
        }
    }
}

static inline void
troupe_push(struct troupe *t, unsigned producer, void *item)
{
    trt_fetch_add_relaxed(&t->items_pushed, 1);
    CHECK_EQ(trt_deque_push(&t->deques[producer], item), 0);
    trt_sleep_notify(&t->sleep);
}

static inline void
troupe_send_letter(struct troupe *t, uint64_t worker)
{
    trt_fetch_add_relaxed(&t->letters_sent, 1);
    trt_fetch_add_seq_cst(&t->letters[worker], 1);
    trt_parker_unpark(&t->parkers[worker]);
}

#endif
