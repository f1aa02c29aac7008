/* Threads that share native work, as a pool's do.
 *
 *     company_open(4, 1);                 // three threads that serve, and this one
 *     CHECK_EQ(company_run(0, fn, arg), TRT_OK);
 *     company_close();
 */
#ifndef TRT_TEST_COMPANY_H
#define TRT_TEST_COMPANY_H

#include "check.h"

#include "native/crew.h"
#include "native/work.h"
#include "sched/pool.h"

enum { HANDS_MOST = 64 };

/* A thread that serves, or that runs roots. */
struct hand {
    trt_worker worker;
    trt_crew crew;
    trt_thread thread;
    uint64_t calls; /* made for stolen frames */
};

/* The first `masters` run roots on threads of the test, the others serve. */
struct company {
    trt_pool pool;
    struct hand hands[HANDS_MOST];
    unsigned count;
    unsigned masters;
    _Atomic(bool) stop;
};
static struct company company;

/* Make the call at once, and go on. */
static inline void
company_make_call(trt_crew *crew, trt_strand *s)
{
    struct hand *hand = (struct hand *)((char *)crew - offsetof(struct hand, crew));
    hand->calls++;
    s->call_status = s->call_fn(s->call_arg);
    trt_crew_go_on(crew, s);
}

static inline void
company_work_or_sleep(struct hand *hand)
{
    if (!trt_crew_serve(&hand->crew, NULL)) {
        trt_worker_sleep(&hand->worker, TRT_FOREVER, false, NULL);
    }
}

static inline void
company_serve(void *arg)
{
    struct hand *hand = arg;
    while (!trt_load_acquire(&company.stop)) {
        company_work_or_sleep(hand);
    }
    trt_worker_stop_searching(&hand->worker);
    trt_fetch_sub_relaxed(&company.pool.teams[TRT_DEFAULT].running, 1);
}

static inline void
company_open(unsigned count, unsigned masters)
{
    company.count = count;
    company.masters = masters;
    trt_store_relaxed(&company.stop, false);
    CHECK_EQ(trt_pool_init(&company.pool), 0);
    trt_store_relaxed(&company.pool.teams[TRT_DEFAULT].running, count);
    for (unsigned i = 0; i < count; i++) {
        struct hand *hand = &company.hands[i];
        const trt_worker_kind kind = i < masters ? TRT_WORKER_MAIN : TRT_WORKER_POOL;
        CHECK_EQ(trt_worker_init(&hand->worker, &company.pool, kind), 0);
        trt_crew_init(&hand->crew, &hand->worker, company_make_call);
        hand->calls = 0;
    }
    for (unsigned i = masters; i < count; i++) {
        struct hand *hand = &company.hands[i];
        CHECK_EQ(trt_thread_start(&hand->thread, "hand", 0, company_serve, hand), 0);
    }
}

/* Stop all threads, and see that nothing is left. What was counted. */
static inline trt_counters_snapshot
company_close(void)
{
    trt_counters_snapshot sum = {0};
    trt_store_release(&company.stop, true);
    for (unsigned i = company.masters; i < company.count; i++) {
        trt_parker_unpark(&company.hands[i].worker.parker);
    }
    for (unsigned i = company.masters; i < company.count; i++) {
        trt_thread_join(&company.hands[i].thread);
    }
    for (unsigned i = 0; i < company.count; i++) {
        struct hand *hand = &company.hands[i];
        CHECK(trt_load_relaxed(&hand->worker.frames) == NULL);
        CHECK(trt_inbox_is_empty(&hand->worker.strand_inbox));
        CHECK_EQ(hand->crew.active, 0);
        trt_counters_add_to(&hand->worker.counters, &sum);
    }
    CHECK_EQ(trt_load_relaxed(&company.pool.teams[TRT_DEFAULT].sleep.word), 0);
    for (unsigned i = 0; i < company.count; i++) {
        trt_crew_destroy(&company.hands[i].crew);
        trt_worker_destroy(&company.hands[i].worker);
    }
    trt_pool_destroy(&company.pool);
    return sum;
}

/* Run fn(ctx, arg) to its end, and serve meanwhile. The status. Children that were
 * stolen from another master's root come to their end too, for nobody else can go on
 * with them. */
static inline int
company_run_root(unsigned master, trt_work *work, trt_function fn, void *arg)
{
    struct hand *hand = &company.hands[master];
    trt_frame root = {.fn = fn, .arg = arg};
    trt_store_relaxed(&root.state, TRT_FRAME_STOLEN);
    trt_strand *s = trt_strand_take(&hand->crew.strands);
    CHECK(s != NULL);
    trt_crew_adopt(&hand->crew, s, &root, &work->cancel);
    while (hand->crew.active > 0) {
        company_work_or_sleep(hand);
    }
    CHECK_EQ(trt_load_relaxed(&root.state), TRT_FRAME_ENDED);
    trt_worker_stop_searching(&hand->worker);
    return root.status;
}

/* The same for work that is not cancelled. */
static inline int
company_run(unsigned master, trt_function fn, void *arg)
{
    trt_work work;
    trt_work_init(&work);
    const int status = company_run_root(master, &work, fn, arg);
    trt_work_destroy(&work);
    return status;
}

/* Run the test with one thread, with two and with four. */
static inline void
company_try_sizes(void (*test)(void))
{
    for (unsigned threads = 1; threads <= 4; threads *= 2) {
        company_open(threads, 1);
        test();
        company_close();
    }
}

#endif
